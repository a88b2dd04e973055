# libwengert_cuda.so: the kernels for NVIDIA GPUs and what runs them. It is a module of its own, which libwengert.so loads when a CUDA device is
# asked for, because cuBLAS is hundreds of megabytes and everything else shall run where CUDA's libraries are not.
set(prefixes ${absolute_prefixes})
if(NOT DEFINED CMAKE_CUDA_COMPILER_LAUNCHER AND CCACHE)
  # By the list of files read: preprocessed text would not tell apart what is compiled for one architecture only.
  set(CMAKE_CUDA_COMPILER_LAUNCHER ${launcher} CCACHE_DEPEND=1 ${CCACHE})
  set(prefixes ${relative_prefixes})  # this folder's path would be a part of what ccache looks for
endif()
enable_language(CUDA)
if(NOT DEFINED CMAKE_CUDA20_STANDARD_COMPILE_OPTION)  # CMake 3.25 does not know it
  set(CMAKE_CUDA20_STANDARD_COMPILE_OPTION "-std=c++20")
endif()

set(architectures 75 80 86 89 90)
if(NOT CMAKE_CUDA_COMPILER_VERSION VERSION_LESS 12.8)
  list(APPEND architectures 100 120)
endif()
set(WENGERT_CUDA_ARCHITECTURES "${architectures}" CACHE STRING
  "Compute capabilities, in rising order, that kernels are compiled for; newer devices compile them anew from those for the last")
if(NOT WENGERT_CUDA_ARCHITECTURES MATCHES "^[0-9]+(;[0-9]+)*$")
  message(FATAL_ERROR "wanted WENGERT_CUDA_ARCHITECTURES such as \"${architectures}\", got \"${WENGERT_CUDA_ARCHITECTURES}\"")
endif()
set(architectures ${WENGERT_CUDA_ARCHITECTURES})
list(POP_BACK architectures newest)
list(TRANSFORM architectures APPEND "-real")
list(TRANSFORM architectures REPLACE "^100-real$" "100")  # PTX too: that of 12.0 is none for 11.0
list(APPEND architectures ${newest})  # the machine's code, and PTX
list(TRANSFORM WENGERT_CUDA_ARCHITECTURES REPLACE "([0-9])$" ".\\1" OUTPUT_VARIABLE text)
list(JOIN text ", " text)

file(GLOB_RECURSE sources CONFIGURE_DEPENDS backends/cuda/*.cu backends/cuda/runtime/*.cpp)
add_library(wengert_cuda MODULE ${sources})
get_filename_component(cublas_folder ${CUDA_cublas_LIBRARY} DIRECTORY)
set_target_properties(wengert_cuda PROPERTIES
  CUDA_ARCHITECTURES "${architectures}" CUDA_STANDARD 20 CUDA_EXTENSIONS OFF LINKER_LANGUAGE CXX
  INSTALL_RPATH "$ORIGIN;${cublas_folder}")
set_source_files_properties(backends/cuda/runtime/check.cpp PROPERTIES
  COMPILE_DEFINITIONS "WENGERT_CUDA_ARCHITECTURES=\"${text} and newer ones\"")
target_include_directories(wengert_cuda PRIVATE ${PROJECT_BINARY_DIR}/include)
# nvcc's own host code is not pedantic.
list(JOIN prefixes , host)
set(host -Wall,-Wextra,-ffp-contract=off,${host})
# A kernel that spills registers, or keeps an array in memory, is slow: ptxas warns.
set(options -Xptxas=--warn-on-spills -Xptxas=--warn-on-local-memory-usage -Xcompiler=${host} $<$<BOOL:${WENGERT_WERROR}>:-Werror=all-warnings> $<$<BOOL:${WENGERT_WERROR}>:-Xcompiler=-Werror>)
target_compile_options(wengert_cuda PRIVATE "$<$<COMPILE_LANGUAGE:CUDA>:${options}>")
target_link_options(wengert_cuda PRIVATE LINKER:--exclude-libs,ALL)  # its CUDA runtime is its own, whatever else is in the process
target_link_libraries(wengert_cuda PRIVATE wengert fmt::fmt CUDA::cudart_static CUDA::cublas)
# cuDNN, where it lies beside CUDA or in the system's folders, is a kernel to compare with.
find_path(WENGERT_CUDNN_INCLUDE cudnn.h HINTS ${CUDAToolkit_INCLUDE_DIRS})
find_library(WENGERT_CUDNN_LIBRARY cudnn HINTS ${CUDAToolkit_LIBRARY_DIR})
mark_as_advanced(WENGERT_CUDNN_INCLUDE WENGERT_CUDNN_LIBRARY)
set(oldest_cudnn 8)  # with f32 throughout
if(WENGERT_CUDNN_INCLUDE AND WENGERT_CUDNN_LIBRARY)
  file(STRINGS ${WENGERT_CUDNN_INCLUDE}/cudnn_version.h cudnn_version REGEX "define CUDNN_MAJOR")
  string(REGEX MATCH "[0-9]+" cudnn_version "${cudnn_version}")
endif()
if(cudnn_version GREATER_EQUAL oldest_cudnn)
  set_source_files_properties(backends/cuda/runtime/cudnn.cpp PROPERTIES
    COMPILE_DEFINITIONS WENGERT_CUDNN INCLUDE_DIRECTORIES "${WENGERT_CUDNN_INCLUDE}")
  target_link_libraries(wengert_cuda PRIVATE ${WENGERT_CUDNN_LIBRARY})
  get_filename_component(cudnn_folder ${WENGERT_CUDNN_LIBRARY} DIRECTORY)
  set_property(TARGET wengert_cuda APPEND PROPERTY INSTALL_RPATH ${cudnn_folder})
  set(cudnn_text " and cuDNN ${cudnn_version}")
endif()
message(STATUS "Kernels for NVIDIA GPUs: with CUDA ${CMAKE_CUDA_COMPILER_VERSION}${cudnn_text}, for ${text} and newer")
install(TARGETS wengert_cuda DESTINATION lib)

# Registers, spills and theoretical occupancy of every kernel, as a table.
if(Python3_FOUND)
  add_custom_target(cuda_kernels COMMENT "Estimates of the CUDA kernels in cuda_kernels.md"
    COMMAND ${Python3_EXECUTABLE} ${PROJECT_SOURCE_DIR}/tools/cuda_kernels.py --nvcc ${CMAKE_CUDA_COMPILER}
      --include ${PROJECT_BINARY_DIR}/include --check --out ${PROJECT_BINARY_DIR}/cuda_kernels.md)
endif()
