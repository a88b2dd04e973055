# Sets WENGERT_CUDA_FOUND: whether libwengert_cuda.so is built. CUDA is found where nvcc is on the PATH, in the environment's CUDACXX, or in
# /usr/local/cuda. Without it AUTO is a build without CUDA, and ON an error.
set(WENGERT_CUDA_FOUND OFF CACHE INTERNAL "")
if(NOT WENGERT_CUDA MATCHES "^(AUTO|ON|OFF)$")
  message(FATAL_ERROR "wanted WENGERT_CUDA=AUTO, ON or OFF, got '${WENGERT_CUDA}'")
elseif(WENGERT_CUDA STREQUAL "OFF")
  return()
endif()

# Looks again where none was found the last time.
if(NOT CMAKE_CUDA_COMPILER)
  unset(CMAKE_CUDA_COMPILER CACHE)
  find_program(WENGERT_NVCC nvcc PATHS /usr/local/cuda/bin /opt/cuda/bin)
  mark_as_advanced(WENGERT_NVCC)
  if(WENGERT_NVCC AND NOT DEFINED ENV{CUDACXX})
    set(ENV{CUDACXX} ${WENGERT_NVCC})
  endif()
  if(DEFINED ENV{CUDACXX})
    include(CheckLanguage)
    check_language(CUDA)
  endif()
endif()

set(oldest 12.0)  # the first with C++20
set(missing "")
if(NOT CMAKE_CUDA_COMPILER)
  set(missing "a CUDA compiler that works with this C++ compiler (nvcc)")
else()
  if(NOT CUDAToolkit_ROOT)  # the libraries that are this compiler's
    get_filename_component(CUDAToolkit_ROOT ${CMAKE_CUDA_COMPILER} DIRECTORY)
    get_filename_component(CUDAToolkit_ROOT ${CUDAToolkit_ROOT} DIRECTORY)
  endif()
  find_package(CUDAToolkit ${oldest} QUIET)
  if(NOT CUDAToolkit_FOUND)
    set(missing "the CUDA toolkit ${oldest} or newer")
  elseif(NOT TARGET CUDA::cublas OR NOT TARGET CUDA::cudart_static)
    set(missing "cuBLAS and the static CUDA runtime beside ${CMAKE_CUDA_COMPILER}")
  endif()
endif()

if(NOT missing)
  set(WENGERT_CUDA_FOUND ON CACHE INTERNAL "")
elseif(WENGERT_CUDA STREQUAL "AUTO")
  message(STATUS "Kernels for NVIDIA GPUs: none, for want of ${missing}")
elseif(WENGERT_CUDA STREQUAL "ON")
  message(FATAL_ERROR "WENGERT_CUDA=ON wants ${missing}. From NVIDIA's repository (developer.nvidia.com/cuda-downloads):\n"
    "  sudo apt-get install cuda-nvcc-13-0 cuda-cudart-dev-13-0 libcublas-dev-13-0\n"
    "A toolkit elsewhere is named by -DCMAKE_CUDA_COMPILER=DIR/bin/nvcc.")
endif()
