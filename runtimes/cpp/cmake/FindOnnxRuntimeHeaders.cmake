# OnnxRuntime::headers: onnxruntime_c_api.h of ONNXRUNTIME_ROOT (variable or environment) or the system. No library: see src/engine/onnxruntime.cpp.
find_path(OnnxRuntimeHeaders_INCLUDE_DIR onnxruntime_c_api.h HINTS ${ONNXRUNTIME_ROOT} $ENV{ONNXRUNTIME_ROOT}
  PATH_SUFFIXES include include/onnxruntime include/onnxruntime/core/session)
mark_as_advanced(OnnxRuntimeHeaders_INCLUDE_DIR)
include(FindPackageHandleStandardArgs)
find_package_handle_standard_args(OnnxRuntimeHeaders REQUIRED_VARS OnnxRuntimeHeaders_INCLUDE_DIR REASON_FAILURE_MESSAGE
  "set ONNXRUNTIME_ROOT (scripts/onnxruntime_sdk.sh DIR assembles one), or FNET_WITH_ONNXRUNTIME=OFF")
if(OnnxRuntimeHeaders_FOUND AND NOT TARGET OnnxRuntime::headers)
  add_library(OnnxRuntime::headers INTERFACE IMPORTED)
  set_target_properties(OnnxRuntime::headers PROPERTIES INTERFACE_INCLUDE_DIRECTORIES ${OnnxRuntimeHeaders_INCLUDE_DIR})
endif()
