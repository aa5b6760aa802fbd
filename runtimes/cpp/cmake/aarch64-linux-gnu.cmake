# Debian's g++-aarch64-linux-gnu; qemu-aarch64 runs what it builds. scripts/aarch64_sysroot.sh assembles the sysroot.
set(sysroot "${CMAKE_CURRENT_LIST_DIR}/../build/aarch64-sysroot")
set(CMAKE_SYSTEM_NAME Linux)
set(CMAKE_SYSTEM_PROCESSOR aarch64)
set(CMAKE_C_COMPILER aarch64-linux-gnu-gcc)
set(CMAKE_CXX_COMPILER aarch64-linux-gnu-g++)
set(CMAKE_CROSSCOMPILING_EMULATOR "qemu-aarch64;-cpu;cortex-a72;-L;${sysroot}" CACHE STRING "What runs a program of this build")
# Headers of the host will do (nlohmann_json, CLI11, Catch2, ONNX Runtime), its libraries will not. OpenSSL has headers of each machine.
set(CMAKE_CXX_FLAGS_INIT "-idirafter ${sysroot}/usr/include/aarch64-linux-gnu")
set(CMAKE_FIND_ROOT_PATH ${sysroot})
set(CMAKE_FIND_ROOT_PATH_MODE_PROGRAM NEVER)
set(CMAKE_FIND_ROOT_PATH_MODE_LIBRARY ONLY)
