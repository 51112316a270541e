import MartletCore
import MartletKernels

/// A product's epilogue in the kernels' terms: what the tile does while its sums are in registers,
/// and what is left for the finished strip.
struct ProductEpilogue {
  /// Pointers are those of element (0, 0) of the whole matrix.
  var tile: mk_epilogue
  /// An elementwise pass over the finished strip.
  var strip: Strip?

  struct Strip {
    var function: mk_unary_fn
    var a: Float
    var b: Float
  }

  /// `residual` is left out where the tile cannot read it in place; the caller sets it.
  init(_ epilogue: Epilogue, kernels: KernelSet) {
    tile = mk_epilogue()
    tile.alpha = epilogue.alpha
    tile.beta = epilogue.beta
    tile.bias_n = epilogue.columnBias
    tile.bias_m = epilogue.rowBias
    tile.act = Int32(MK_ACT_NONE)
    (tile.act, tile.lo, tile.hi) = ProductEpilogue.tileActivation(epilogue.activation)
    strip = ProductEpilogue.strip(epilogue.activation, kernels)
  }

  /// The activation as the tile knows it; `MK_ACT_NONE` for those that run over strips.
  static func tileActivation(_ activation: UnaryFunction?) -> (act: Int32, lo: Float, hi: Float) {
    switch activation {
    case .relu?: (Int32(MK_ACT_RELU), 0, 0)
    case .clamp(let lo, let hi)?: (Int32(MK_ACT_CLAMP), lo, hi)
    default: (Int32(MK_ACT_NONE), 0, 0)
    }
  }

  /// The pass over the strip that the tile cannot do, or nil.
  static func strip(_ activation: UnaryFunction?, _ kernels: KernelSet) -> Strip? {
    tileActivation(activation).act == Int32(MK_ACT_NONE) ? pass(activation, kernels) : nil
  }

  /// Any activation as an elementwise pass; nil for none.
  ///
  /// It has a kernel: products and convolutions whose function has none do not pass `validate`.
  static func pass(_ activation: UnaryFunction?, _ kernels: KernelSet) -> Strip? {
    guard let activation else { return nil }
    guard let kernel = activation.kernel else {
      preconditionFailure("\(activation) has no kernel")
    }
    return Strip(function: kernels.vectors.unary[kernel.index], a: kernel.a, b: kernel.b)
  }
}
