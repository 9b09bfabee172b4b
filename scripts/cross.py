"""Programs of GoogleTest for compilers and processors that Debian has no GoogleTest library for."""

import pathlib
import shutil
import subprocess

ROOT = pathlib.Path(__file__).resolve().parent.parent
GTEST = pathlib.Path("/usr/src/googletest/googletest")  # Debian's sources of it
GTEST_SOURCES = [GTEST / "src/gtest-all.cc", GTEST / "src/gtest_main.cc"]
FLAGS = ["-std=c++20", "-O1", "-pthread", "-Wall", "-Wextra", "-Wpedantic", "-Wconversion", "-Wshadow", "-Werror",
         "-I", ROOT, "-I", ROOT / "lib", "-isystem", GTEST / "include", "-isystem", GTEST]
PACKAGES = {"aarch64-linux-gnu-g++": "g++-aarch64-linux-gnu", "qemu-aarch64": "qemu-user",
            "riscv64-linux-gnu-g++": "g++-riscv64-linux-gnu", "qemu-riscv64": "qemu-user"}


def missing(*programs):
    """Why these programs cannot compile and run such tests here; nothing if they can."""
    for program in programs:
        if not shutil.which(program):
            return f"no {program}: scripts/setup --cross installs {PACKAGES.get(program, program)}"
    return "" if GTEST_SOURCES[0].exists() else f"no {GTEST}: Debian has it as googletest"


def compile_to(folder, compiler, flags, source):
    """The object file; two sources of one name have different folders."""
    made = folder / f"{source.parent.name}-{source.stem}.o"
    command = [compiler, *flags, *FLAGS, "-c", source, "-o", made]
    if shutil.which("ccache"):
        command.insert(0, "ccache")
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{source.name} does not compile with {compiler}:\n{done.stderr}")
    return made


def link(compiler, flags, objects, program):
    done = subprocess.run([compiler, *flags, "-pthread", *objects, "-o", program], capture_output=True,
                          text=True, check=False)  # the linker warns that static programs look up no hosts
    if done.returncode:
        raise RuntimeError(f"{program.name} does not link with {compiler}:\n{done.stderr}")
    return program


def spoiled(folder, file, old, new):
    """A folder with a copy of the library's headers in which `new` stands for `old`; None if `old` is not there once."""
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(ROOT / "lib/assay", folder / "assay")
    text = (folder / "assay" / file).read_text()
    (folder / "assay" / file).write_text(text.replace(old, new))
    return folder if text.count(old) == 1 else None
