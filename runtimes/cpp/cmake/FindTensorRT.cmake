# TensorRT::headers: NvInfer.h and NvOnnxParser.h of TensorRT 10.12 or newer, of TensorRT_ROOT (variable or environment) or the system. No
# library: see src/engine/tensorrt_library.cpp.
include(${CMAKE_CURRENT_LIST_DIR}/TensorRTHeaders.cmake)
tensorrt_headers(TensorRT TRT_MAJOR_ENTERPRISE TRT_MINOR_ENTERPRISE 10.12)
