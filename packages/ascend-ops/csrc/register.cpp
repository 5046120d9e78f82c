// SPDX-License-Identifier: Apache-2.0
#include <torch/library.h>

#include "slot_mapping.h"
#include "touched_memory.h"

TORCH_LIBRARY(ascend, m) {
  m.def(
      "slot_mapping(Tensor positions, Tensor query_start_loc, Tensor block_table, int block_size, "
      "Tensor(a!) out, *, int pad_id=-1) -> ()");
  m.class_<ascend_ops::TouchedMemory>("TouchedMemory")
      .def(torch::init<bool>())
      .def("start", &ascend_ops::TouchedMemory::start)
      .def("stop", &ascend_ops::TouchedMemory::stop)
      .def("take_made", &ascend_ops::TouchedMemory::take_made)
      .def("kept", &ascend_ops::TouchedMemory::kept)
      .def("drop", &ascend_ops::TouchedMemory::drop)
      .def("wrote", &ascend_ops::TouchedMemory::wrote);
}

TORCH_LIBRARY_IMPL(ascend, CPU, m) { m.impl("slot_mapping", ascend_ops::slot_mapping_cpu); }

TORCH_LIBRARY_IMPL(ascend, PrivateUse1, m) { m.impl("slot_mapping", ascend_ops::slot_mapping_npu); }

TORCH_LIBRARY_IMPL(ascend, Meta, m) { m.impl("slot_mapping", ascend_ops::slot_mapping_meta); }
