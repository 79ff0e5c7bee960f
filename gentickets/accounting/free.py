"""Operators that count as nothing: a written table. What stands neither here nor among the formulas is not known.

Names are those of PyTorch's own namespace, ``aten``. One that ends in ``_`` works in place and counts as the one
without; ``_foreach_NAME`` counts nothing where ``NAME`` does. Operators that PyTorch itself takes apart need not stand
here.

An operator's own tags are not asked: whoever registers one may give it any.
"""

from __future__ import annotations

_ELEMENTWISE = """
    __ilshift__ __irshift__ __lshift__ __rshift__ _add_relu _conj_physical _masked_scale _prelu_kernel
    _prelu_kernel_backward abs acos acosh add addcdiv addcmul angle asin asinh atan atan2 atanh
    binary_cross_entropy binary_cross_entropy_backward binary_cross_entropy_with_logits bitwise_and
    bitwise_left_shift bitwise_not bitwise_or bitwise_right_shift bitwise_xor ceil celu clamp clamp_max clamp_min
    complex conj_physical copysign cos cosh deg2rad digamma div elu elu_backward eq equal erf erfc erfinv exp exp2
    expm1 float_power floor floor_divide fmax fmin fmod frac frexp gcd ge gelu gelu_backward glu glu_backward
    glu_backward_jvp glu_jvp gt hardshrink hardshrink_backward hardsigmoid hardsigmoid_backward hardswish
    hardswish_backward hardtanh hardtanh_backward heaviside huber_loss huber_loss_backward hypot i0 igamma igammac
    isclose isfinite isinf isnan isneginf isposinf lcm ldexp le leaky_relu leaky_relu_backward lerp lgamma
    linalg_cross log log10 log1p log2 log_sigmoid_backward log_sigmoid_forward logaddexp logaddexp2 logical_and
    logical_not logical_or logical_xor logit logit_backward lt masked_fill maximum minimum mish mish_backward
    mse_loss mse_loss_backward mul mvlgamma nan_to_num native_dropout_backward ne neg nextafter polar polygamma pow
    rad2deg reciprocal relu remainder round rrelu_with_noise rrelu_with_noise_backward rrelu_with_noise_functional
    rsqrt rsub sgn sigmoid sigmoid_backward sign signbit silu silu_backward sin sinc sinh smooth_l1_loss
    smooth_l1_loss_backward soft_margin_loss soft_margin_loss_backward softplus softplus_backward softshrink
    softshrink_backward sqrt square sub tan tanh tanh_backward threshold threshold_backward trunc where xlogy
    special_airy_ai special_bessel_j0 special_bessel_j1 special_bessel_y0 special_bessel_y1 special_entr
    special_erfcx special_i0e special_i1 special_i1e special_log_ndtr special_modified_bessel_i0
    special_modified_bessel_i1 special_modified_bessel_k0 special_modified_bessel_k1 special_ndtri
    special_scaled_modified_bessel_k0 special_scaled_modified_bessel_k1 special_spherical_bessel_j0
    special_xlog1py special_zeta
    _thnn_fused_gru_cell _thnn_fused_gru_cell_backward _thnn_fused_lstm_cell _thnn_fused_lstm_cell_backward_impl
"""
"""A few operations for each number; the last line is the gates of recurrent cells."""
_REDUCTIONS = """
    _aminmax _cummax_helper _cummin_helper _is_all_true _is_any_true _log_softmax _log_softmax_backward_data
    _logcumsumexp _masked_softmax _masked_softmax_backward _safe_softmax _sparse_csr_sum
    _sparse_log_softmax _sparse_log_softmax_backward_data _sparse_softmax _sparse_softmax_backward_data _sparse_sum
    _sparse_sum_backward _softmax _softmax_backward_data
    all allclose amax amin aminmax any argmax argmin bincount count_nonzero cummax cummin cumprod cumsum dist
    hash_tensor histc kthvalue linalg__powsum linalg_vector_norm log_softmax logcumsumexp logsumexp max mean median min
    mode multi_margin_loss multi_margin_loss_backward multilabel_margin_loss_backward multilabel_margin_loss_forward
    nanmedian nansum native_norm nll_loss2d_backward nll_loss2d_forward nll_loss_backward nll_loss_forward norm powsum
    prod renorm segment_reduce _segment_reduce_backward softmax std std_mean sum trace var var_mean
"""
_ORDER = """
    _unique _unique2 bucketize isin searchsorted sort topk unique_consecutive unique_dim unique_dim_consecutive
"""
_PUT_TOGETHER_NORMS = """
    _fused_rms_norm _fused_rms_norm_backward _weight_norm_interface _weight_norm_interface_backward
    batch_norm_gather_stats batch_norm_gather_stats_with_counts
"""
"""Norms that elsewhere are put together of the above, so that they count the same in one piece; and once a channel."""
_POOLING = """
    _adaptive_avg_pool2d _adaptive_avg_pool2d_backward _adaptive_avg_pool3d _adaptive_avg_pool3d_backward
    adaptive_avg_pool1d adaptive_avg_pool2d adaptive_avg_pool3d adaptive_avg_pool3d_backward adaptive_max_pool2d
    adaptive_max_pool2d_backward adaptive_max_pool3d adaptive_max_pool3d_backward avg_pool1d avg_pool2d
    avg_pool2d_backward avg_pool3d avg_pool3d_backward fractional_max_pool2d fractional_max_pool2d_backward
    fractional_max_pool3d fractional_max_pool3d_backward max_pool2d_backward max_pool2d_with_indices
    max_pool2d_with_indices_backward max_pool3d_with_indices max_pool3d_with_indices_backward max_unpool2d
    max_unpool3d mkldnn_adaptive_avg_pool2d mkldnn_adaptive_avg_pool2d_backward mkldnn_max_pool2d
    mkldnn_max_pool2d_backward mkldnn_max_pool3d mkldnn_max_pool3d_backward
"""
"""Sums and maxima over windows."""
_VIEWS = """
    _conj _fw_primal _indices _make_dual _neg_view _nested_get_values _nested_view_from_buffer
    _nested_view_from_jagged _reshape_alias _sparse_broadcast_to _unsafe_view _values alias as_strided ccol_indices
    col_indices crow_indices detach diagonal expand indices lift_fresh permute row_indices select slice slice_inverse
    split split_with_sizes squeeze t transpose unbind unfold unsafe_split unsafe_split_with_sizes unsqueeze values view
    view_as_complex view_as_real
"""
_COPIES = """
    _chunk_cat _convert_indices_from_coo_to_csr _convert_indices_from_csr_to_coo _copy_from _copy_from_and_resize
    _cudnn_rnn_flatten_weight _jagged_to_padded_dense_forward _lazy_clone _make_dep_token _mkldnn_reshape
    _mkldnn_transpose _nested_from_padded _nested_from_padded_and_nested_example _nested_from_padded_tensor
    _nested_tensor_from_mask _nested_tensor_from_mask_left_aligned _nested_tensor_from_tensor_list
    _pack_padded_sequence _padded_dense_to_jagged_forward _pin_memory _reshape_copy _stack _to_copy _to_dense
    _to_sparse _to_sparse_bsc _to_sparse_bsr _to_sparse_csc _to_sparse_csr as_strided_scatter block_diag cat
    channel_shuffle clone col2im constant_pad_nd copy copy_sparse_to_sparse diag_embed diagonal_backward
    diagonal_scatter flip im2col lift mkldnn_reorder_conv2d_weight mkldnn_reorder_conv3d_weight
    pixel_shuffle pixel_unshuffle reflection_pad1d reflection_pad1d_backward reflection_pad2d
    reflection_pad2d_backward reflection_pad3d reflection_pad3d_backward repeat replication_pad1d
    replication_pad1d_backward replication_pad2d replication_pad2d_backward replication_pad3d
    replication_pad3d_backward resize resize_as resize_as_sparse roll rot90 select_backward select_scatter
    set shallow_copy_data slice_backward slice_scatter sparse_mask sparse_resize sparse_resize_and_clear stack
    to_mkldnn to_padded_tensor tril triu unfold_backward
    _upsample_nearest_exact1d _upsample_nearest_exact1d_backward _upsample_nearest_exact2d
    _upsample_nearest_exact2d_backward _upsample_nearest_exact3d _upsample_nearest_exact3d_backward
    upsample_nearest1d upsample_nearest1d_backward upsample_nearest2d upsample_nearest2d_backward upsample_nearest3d
    upsample_nearest3d_backward
"""
"""Padding, shifting, packing and the nearest neighbour among them; what comes from several places is added up."""
_INDEXING = """
    _coalesce _coalesced _index_put_impl _sparse_mask_projection _unsafe_index _unsafe_index_put
    _unsafe_masked_index _unsafe_masked_index_put_accumulate embedding embedding_dense_backward embedding_renorm
    gather index index_add index_copy index_fill index_put index_reduce index_select masked_scatter
    masked_scatter_backward masked_select nonzero nonzero_static put repeat_interleave scatter scatter_add
    scatter_reduce take
"""
_MAKING = """
    _efficientzerotensor _sparse_compressed_tensor_with_dims _sparse_coo_tensor_with_dims
    _sparse_coo_tensor_with_dims_and_tensors _spdiags arange bartlett_window blackman_window empty empty_like
    empty_permuted empty_strided eye fft_fftfreq fft_rfftfreq fill from_file full full_like hamming_window
    hann_window kaiser_window linspace logspace new_empty new_empty_strided new_full new_ones new_zeros ones
    ones_like range scalar_tensor sparse_compressed_tensor sparse_coo_tensor tril_indices triu_indices zero zeros
    zeros_like _new_zeros_with_same_feature_meta
"""
_RANDOM = """
    _cudnn_init_dropout_state _dirichlet_grad _fill_mem_eff_dropout_mask _fused_dropout _philox_key_fold_in
    _philox_key_split _philox_normal _philox_uniform _sample_dirichlet _standard_gamma _standard_gamma_grad
    bernoulli binomial cauchy exponential geometric log_normal multinomial native_dropout normal normal_functional
    poisson rand rand_like randint randint_like randn randn_like random randperm uniform
"""
_ASKING = """
    _assert_async _assert_scalar _assert_tensor_metadata _dimI _dimV _functional_assert_async
    _functional_assert_scalar _functional_sym_constrain_range _functional_sym_constrain_range_for_size
    _fused_sdp_choice _has_same_storage_numel _linalg_check_errors _local_scalar_dense _nested_get_jagged_dummy
    _nested_get_lengths _nested_get_max_seqlen _nested_get_min_seqlen _nested_get_offsets _nested_get_ragged_idx
    _nested_tensor_size _nested_tensor_storage_offsets _nested_tensor_strides
    _nnz _print _use_cudnn_ctc_loss _use_miopen_ctc_loss _validate_compressed_sparse_indices dense_dim dim is_coalesced
    is_contiguous is_non_overlapping_and_dense is_pinned is_same_size is_set_to is_strides_like_format numel
    record_stream size sparse_dim storage_offset stride sym_constrain_range sym_constrain_range_for_size
    sym_is_contiguous sym_numel sym_size sym_storage_offset sym_stride
"""
_QUANTIZING = """
    _fake_quantize_learnable_per_channel_affine _fake_quantize_learnable_per_channel_affine_backward
    _fake_quantize_learnable_per_tensor_affine _fake_quantize_learnable_per_tensor_affine_backward
    _fake_quantize_per_tensor_affine_cachemask_tensor_qparams _fused_moving_avg_obs_fq_helper
    _make_per_channel_quantized_tensor _make_per_tensor_quantized_tensor dequantize
    fake_quantize_per_channel_affine_cachemask fake_quantize_per_tensor_affine_cachemask int_repr
    q_per_channel_axis q_per_channel_scales q_per_channel_zero_points q_scale q_zero_point qscheme
    quantize_per_channel quantize_per_tensor quantize_per_tensor_dynamic
"""
_OPTIMIZERS = """
    _amp_foreach_non_finite_check_and_unscale _amp_update_scale _fused_adagrad _fused_adam _fused_adamw _fused_sgd
"""

_TABLES = (
    _ELEMENTWISE, _REDUCTIONS, _ORDER, _PUT_TOGETHER_NORMS, _POOLING, _VIEWS, _COPIES, _INDEXING, _MAKING, _RANDOM,
    _ASKING, _QUANTIZING, _OPTIMIZERS,
)  # fmt: skip
FREE = frozenset(name for table in _TABLES for name in table.split())
"""Names in the namespace ``aten``."""
_COPYING = frozenset(f"{name}_copy" for name in _VIEWS.split())
"""What views are called where they copy instead."""
_OUTSIDE = frozenset({"profiler::_record_function_enter", "profiler::_record_function_enter_new",
                      "profiler::_record_function_exit", "prim::device", "prim::layout",
                      "torchvision::_cuda_version"})  # fmt: skip
"""Names in other namespaces, as a whole."""
FOREACH = "_foreach_"


def is_free(name: str) -> bool:
    """Whether an operator counts as nothing; its name with its namespace, ``aten::add_``."""
    if not name.startswith("aten::"):
        return name in _OUTSIDE
    own = plain(name.removeprefix("aten::"))
    return own in FREE or own in _COPYING or (own.startswith(FOREACH) and own.removeprefix(FOREACH) in FREE)


def plain(name: str) -> str:
    """Without the ``_`` of an operator in place."""
    return name if name.endswith("__") else name.removesuffix("_")
