# SPDX-License-Identifier: Apache-2.0
"""Code that was compiled against another torch sees the tensors of this one."""

import ctypes
import gc
from pathlib import Path

import pytest
import torch
from needs import needs_xlite

from ascend_xlite_bridge import XliteUnavailableError, _native
from ascend_xlite_bridge._library import check_library, load_engine


def word(tensor, offset):
    """A 64-bit word of the C++ object behind a tensor."""
    return ctypes.c_int64.from_address(tensor._cdata + offset).value


def test_sizes_are_where_they_were_measured():
    offset = _native.sizes_offset()

    tensor = torch.empty(17, 23)

    assert [word(tensor, offset + 8 * i) for i in range(3)] == [2, 17, 23]


def test_copies_agree_with_torch_for_every_kind_of_tensor():
    before = _native.count_copies()

    _native.check_copies()

    assert _native.count_copies() == before


def test_a_library_that_is_not_loaded_is_not_adapted(tmp_path):
    with pytest.raises(XliteUnavailableError, match=r"other\.so: it is not loaded"):
        _native.adapt(tmp_path / "other.so")


def test_a_library_that_does_not_take_tensors_is_not_adapted():
    library = Path(torch.__file__).with_name("lib") / "libc10.so"

    with pytest.raises(XliteUnavailableError, match="type_caster"):
        _native.adapt(library)


@needs_xlite
class TestEngine:
    def test_a_tensor_comes_back_as_itself(self):
        model = load_engine().Model()
        tensor = torch.empty(3, 4)

        model.embed = tensor

        assert model.embed is tensor

    def test_a_list_of_tensors_comes_back(self):
        model = load_engine().Model()
        tensors = [torch.empty(i) for i in range(3)]

        model.attn_norm = tensors

        assert all(one is other for one, other in zip(model.attn_norm, tensors, strict=True))

    def test_what_the_engine_holds_is_alive(self):
        model = load_engine().Model()
        model.embed = torch.full((1000,), 7.0)
        gc.collect()

        assert model.embed.sum() == 7000

    def test_nothing_is_left_behind(self):
        engine = load_engine()
        before = _native.count_copies()
        model = engine.Model()
        for _ in range(100):
            model.attn_norm = [torch.empty(3), torch.empty(4)]
            model.embed = torch.empty(2, 2)

        assert _native.count_copies() == before + 3
        del model
        assert _native.count_copies() == before

    @pytest.mark.parametrize("value", [None, 3, [1.0]])
    def test_what_is_no_tensor_is_refused(self, value):
        with pytest.raises(TypeError):
            load_engine().Model().embed = value

    def test_a_tensor_whose_shape_python_decides_is_refused(self):
        from torch._subclasses import FakeTensorMode

        with FakeTensorMode():
            fake = torch.empty(3)

        with pytest.raises(TypeError):
            load_engine().Model().embed = fake

    def test_adapting_again_changes_nothing(self):
        engine, tensor = load_engine(), torch.empty(3)

        _native.adapt(check_library().extension)

        model = engine.Model()
        model.embed = tensor
        assert model.embed is tensor
        assert _native.count_copies() >= 1

    def test_a_tensor_with_a_new_storage_keeps_the_old_one_for_the_engine(self):
        model, tensor = load_engine().Model(), torch.full((1000,), 7.0)
        old = tensor.untyped_storage()
        uses = old._use_count() if hasattr(old, "_use_count") else None
        model.embed = tensor

        tensor.set_(torch.zeros(5))
        gc.collect()

        assert model.embed is tensor
        assert uses is None or old._use_count() > 1
