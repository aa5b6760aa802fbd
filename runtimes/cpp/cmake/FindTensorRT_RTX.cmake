# TensorRT_RTX::headers: NvInfer.h and NvOnnxParser.h of TensorRT-RTX, of TensorRT_RTX_ROOT (variable or environment) or the system. No
# library: see src/engine/tensorrt_library.cpp.
include(${CMAKE_CURRENT_LIST_DIR}/TensorRTHeaders.cmake)
tensorrt_headers(TensorRT_RTX TRT_MAJOR_RTX TRT_MINOR_RTX 1.0)
