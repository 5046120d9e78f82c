# SPDX-License-Identifier: Apache-2.0
# Defines Torch::cpu and TorchLibraries_VERSION from the torch package of the building Python.
#
# Not find_package(Torch): the configuration of a CUDA build of torch asks for a CUDA toolkit, which a
# library that calls no CUDA does not need. And torch is located without importing it: its backend
# autoload would import torch_npu, which needs CANN.

find_package(Python3 REQUIRED COMPONENTS Interpreter)

if(NOT DEFINED TorchLibraries_ROOT)
  execute_process(
    COMMAND "${CMAKE_COMMAND}" -E env TORCH_DEVICE_BACKEND_AUTOLOAD=0 "${Python3_EXECUTABLE}" -c
      "import importlib.util as u; print(u.find_spec('torch').submodule_search_locations[0])"
    OUTPUT_VARIABLE TorchLibraries_ROOT
    OUTPUT_STRIP_TRAILING_WHITESPACE
    RESULT_VARIABLE _failed)
  if(_failed)
    message(FATAL_ERROR "${Python3_EXECUTABLE} has no torch: pip install 'torch==2.13.*'")
  endif()
endif()

find_path(TorchLibraries_INCLUDE_DIR torch/library.h
  PATHS "${TorchLibraries_ROOT}/include" NO_DEFAULT_PATH)
foreach(_name torch_cpu c10)
  find_library(TorchLibraries_${_name} ${_name} PATHS "${TorchLibraries_ROOT}/lib" NO_DEFAULT_PATH)
endforeach()
if(EXISTS "${TorchLibraries_ROOT}/version.py")
  file(STRINGS "${TorchLibraries_ROOT}/version.py" _line REGEX "^__version__ = ")
  string(REGEX REPLACE "^__version__ = '([^']+)'.*" "\\1" TorchLibraries_VERSION "${_line}")
endif()

include(FindPackageHandleStandardArgs)
find_package_handle_standard_args(TorchLibraries
  REQUIRED_VARS TorchLibraries_torch_cpu TorchLibraries_c10 TorchLibraries_INCLUDE_DIR
  VERSION_VAR TorchLibraries_VERSION)

if(TorchLibraries_FOUND AND NOT TARGET Torch::cpu)
  add_library(Torch::cpu INTERFACE IMPORTED)
  set_target_properties(Torch::cpu PROPERTIES
    INTERFACE_INCLUDE_DIRECTORIES "${TorchLibraries_INCLUDE_DIR}"
    INTERFACE_LINK_LIBRARIES "${TorchLibraries_torch_cpu};${TorchLibraries_c10}")
endif()
