// Does not use the library: its command line is what the consumer asked for, and nothing more.
int main() {}
