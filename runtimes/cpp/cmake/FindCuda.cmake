# Cuda::headers: cuda_runtime_api.h, and the folder crt that it reads, of CUDAToolkit_ROOT (variable or environment) or the usual places.
# No library: see src/engine/gpu.cpp. FindCUDAToolkit would ask for a compiler as well.
set(places ${CUDAToolkit_ROOT} $ENV{CUDAToolkit_ROOT} $ENV{CUDA_PATH} /usr/local/cuda)
find_path(Cuda_INCLUDE_DIR cuda_runtime_api.h HINTS ${places} PATH_SUFFIXES include)
find_path(Cuda_CRT_INCLUDE_DIR crt/host_defines.h HINTS ${Cuda_INCLUDE_DIR} ${places} PATH_SUFFIXES include)
mark_as_advanced(Cuda_INCLUDE_DIR Cuda_CRT_INCLUDE_DIR)
include(FindPackageHandleStandardArgs)
find_package_handle_standard_args(Cuda REQUIRED_VARS Cuda_INCLUDE_DIR Cuda_CRT_INCLUDE_DIR REASON_FAILURE_MESSAGE
  "set CUDAToolkit_ROOT to a folder whose include has cuda_runtime_api.h and crt/host_defines.h")
if(Cuda_FOUND AND NOT TARGET Cuda::headers)
  add_library(Cuda::headers INTERFACE IMPORTED)
  set_target_properties(Cuda::headers PROPERTIES INTERFACE_INCLUDE_DIRECTORIES "${Cuda_INCLUDE_DIR};${Cuda_CRT_INCLUDE_DIR}")
endif()
