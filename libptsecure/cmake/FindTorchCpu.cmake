# Finds libtorch in an installed Python `torch` package: headers, libtorch_cpu and libc10, nothing
# of CUDA. Looked at in this order: PTSECURE_TORCH_DIR (variable, then environment), the active
# virtual environment, build/venv. Defines TorchCpu::TorchCpu, TorchCpu_DIR and TorchCpu_VERSION.
set(candidates)
if(PTSECURE_TORCH_DIR)
  list(APPEND candidates "${PTSECURE_TORCH_DIR}")
elseif(DEFINED ENV{PTSECURE_TORCH_DIR} AND NOT "$ENV{PTSECURE_TORCH_DIR}" STREQUAL "")
  list(APPEND candidates "$ENV{PTSECURE_TORCH_DIR}")
else()
  set(roots "${CMAKE_BINARY_DIR}/venv" "${PROJECT_SOURCE_DIR}/build/venv")
  if(DEFINED ENV{VIRTUAL_ENV})
    list(PREPEND roots "$ENV{VIRTUAL_ENV}")
  endif()
  foreach(root IN LISTS roots)
    file(GLOB found "${root}/lib/python3*/site-packages/torch")
    list(APPEND candidates ${found})
  endforeach()
endif()

set(TorchCpu_DIR "")
foreach(candidate IN LISTS candidates)
  if(EXISTS "${candidate}/lib/libtorch_cpu.so" AND EXISTS "${candidate}/include/torch/script.h")
    get_filename_component(TorchCpu_DIR "${candidate}" REALPATH)
    break()
  endif()
endforeach()

set(TorchCpu_VERSION "")
if(TorchCpu_DIR AND EXISTS "${TorchCpu_DIR}/version.py")
  file(STRINGS "${TorchCpu_DIR}/version.py" line REGEX "^__version__ = ")
  string(REGEX REPLACE "^[^']*'([0-9.]+[0-9]).*$" "\\1" TorchCpu_VERSION "${line}")
endif()

include(FindPackageHandleStandardArgs)
find_package_handle_standard_args(TorchCpu REQUIRED_VARS TorchCpu_DIR
  VERSION_VAR TorchCpu_VERSION
  REASON_FAILURE_MESSAGE "no torch/lib/libtorch_cpu.so with headers beside it in: ${candidates}")

if(TorchCpu_FOUND AND NOT TARGET TorchCpu::TorchCpu)
  foreach(name IN ITEMS c10 torch_cpu)
    add_library(TorchCpu::${name} SHARED IMPORTED)
    set_target_properties(TorchCpu::${name} PROPERTIES
      IMPORTED_LOCATION "${TorchCpu_DIR}/lib/lib${name}.so" IMPORTED_SONAME "lib${name}.so")
  endforeach()
  add_library(TorchCpu::TorchCpu INTERFACE IMPORTED)
  set_target_properties(TorchCpu::TorchCpu PROPERTIES
    INTERFACE_INCLUDE_DIRECTORIES
      "${TorchCpu_DIR}/include;${TorchCpu_DIR}/include/torch/csrc/api/include"
    INTERFACE_LINK_LIBRARIES "TorchCpu::torch_cpu;TorchCpu::c10")
endif()
