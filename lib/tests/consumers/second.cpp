// A second unit with the same header: an inline that was forgotten would be a duplicate symbol.
#include <assay/assay.hpp>
#include <string>

std::string name_of_segment();
std::string name_of_segment() { return "assay_consumer_" + std::to_string(assay::line_size) + "_"; }
