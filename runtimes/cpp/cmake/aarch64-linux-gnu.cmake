# Debian's g++-aarch64-linux-gnu; qemu-aarch64 runs what it builds. FNET_SYSROOT is what scripts/aarch64_sysroot.sh assembled.
set(FNET_SYSROOT "${CMAKE_CURRENT_LIST_DIR}/../build/aarch64-sysroot" CACHE PATH "libsentencepiece for arm64, and the emulator's /proc/cpuinfo")
list(APPEND CMAKE_TRY_COMPILE_PLATFORM_VARIABLES FNET_SYSROOT)
set(CMAKE_SYSTEM_NAME Linux)
set(CMAKE_SYSTEM_PROCESSOR aarch64)
set(CMAKE_C_COMPILER aarch64-linux-gnu-gcc)
set(CMAKE_CXX_COMPILER aarch64-linux-gnu-g++)
set(CMAKE_CROSSCOMPILING_EMULATOR "qemu-aarch64;-cpu;cortex-a72;-L;${FNET_SYSROOT}" CACHE STRING "What runs a program of this build")
# Headers of the host will do (nlohmann_json, Catch2, ONNX Runtime), its libraries will not.
set(CMAKE_FIND_ROOT_PATH ${FNET_SYSROOT})
set(CMAKE_FIND_ROOT_PATH_MODE_PROGRAM NEVER)
set(CMAKE_FIND_ROOT_PATH_MODE_LIBRARY ONLY)
