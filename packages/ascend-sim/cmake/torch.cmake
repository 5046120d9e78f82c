# SPDX-License-Identifier: Apache-2.0
# The imported target `torch_cpu`: the installed torch's headers and libraries. torch is located without being
# imported, because importing it loads every backend that is installed beside it.
execute_process(
  COMMAND ${Python_EXECUTABLE} -c
    "import importlib.util as u; print(*u.find_spec('torch').submodule_search_locations)"
  OUTPUT_VARIABLE torch_dir
  OUTPUT_STRIP_TRAILING_WHITESPACE
  RESULT_VARIABLE torch_missing)
if(torch_missing)
  message(FATAL_ERROR "ascend-sim needs torch 2.13 at build time, and ${Python_EXECUTABLE} has no torch. "
                      "Mend it with: ${Python_EXECUTABLE} -m pip install 'torch==2.13.*'")
endif()
file(STRINGS ${torch_dir}/version.py torch_version REGEX "^__version__")
if(NOT torch_version MATCHES "'2\\.13\\.")
  message(FATAL_ERROR "ascend-sim is built against torch 2.13, found ${torch_version} in ${torch_dir}. "
                      "Mend it with: ${Python_EXECUTABLE} -m pip install 'torch==2.13.*'")
endif()

add_library(c10 SHARED IMPORTED)
set_target_properties(c10 PROPERTIES IMPORTED_LOCATION ${torch_dir}/lib/libc10.so)
add_library(torch_cpu SHARED IMPORTED)
set_target_properties(torch_cpu PROPERTIES IMPORTED_LOCATION ${torch_dir}/lib/libtorch_cpu.so)
target_include_directories(torch_cpu SYSTEM INTERFACE
  ${torch_dir}/include ${torch_dir}/include/torch/csrc/api/include)
target_compile_definitions(torch_cpu INTERFACE _GLIBCXX_USE_CXX11_ABI=1)
target_link_libraries(torch_cpu INTERFACE c10)
