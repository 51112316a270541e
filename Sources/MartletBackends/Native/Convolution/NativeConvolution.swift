import MartletCore
import MartletKernels

extension NativeBackend {
  /// Convolution as an implicit product: weights [OC / g, K] by the image's im2col matrix, of which
  /// only blocks of pixels ever exist, or the depthwise kernel plane by plane.
  func convolve(
    _ problem: ConvolutionProblem, pool: ThreadPool
  ) throws(MartletError) -> Execution {
    try problem.validate()
    return try route(problem, pool: pool).run(on: pool)
  }

  /// How `problem`, which is valid, is computed with the pool's number of threads.
  func route(
    _ problem: ConvolutionProblem, pool: ThreadPool
  ) throws(MartletError) -> ConvolutionRoute {
    if problem.isDepthwise { return .depthwise(DepthwiseConvolution(problem, kernels)) }
    var rounded: RoundedWeights?
    switch problem.prepared?.form {
    case .winograd(let weights)?:
      return .winograd(try WinogradConvolution(problem, weights, kernels))
    case .direct(let weights)?:
      if let dot = DotConvolution(problem, weights, kernels, threads: pool.threadCount) {
        return .dot(dot)
      }
      if weights.dtype == .float32, let row = kernels.float32, let convolution = row.convolution {
        return .direct(
          DirectConvolution(
            problem, weights, row, convolution, kernels, threads: pool.threadCount))
      }
    case .rounded(let weights)?: rounded = weights
    case nil: break
    }
    if rounded == nil, usesBF16(problem) { rounded = try roundedWeights(problem, pool: pool) }
    return .product(try ImplicitProduct(problem, rounded, kernels))
  }

  func form(of problem: ConvolutionProblem) -> ConvolutionForm? {
    if problem.permitsWinograd, let m = winogradTile(problem) {
      return ConvolutionForm(m == 2 ? .winograd2 : .winograd4, problem)
    }
    if let type = directWeightsType(problem) {
      return ConvolutionForm(type == .float32 ? .directFloat32 : .directBFloat16, problem)
    }
    return usesBF16(problem) ? ConvolutionForm(.rounded, problem) : nil
  }

  func prepare(
    _ problem: ConvolutionProblem, _ form: ConvolutionForm, pool: ThreadPool
  ) throws(MartletError) -> ConvolutionWeights {
    switch form.kind {
    case .rounded: .init(.rounded(try roundedWeights(problem, pool: pool)))
    case .winograd2: .init(.winograd(try winogradWeights(problem, m: 2, pool: pool)))
    case .winograd4: .init(.winograd(try winogradWeights(problem, m: 4, pool: pool)))
    case .directFloat32, .directBFloat16:
      .init(.direct(try directWeights(problem, pool: pool)))
    }
  }
}

/// Convolution weights rounded to bf16 once, as products in bf16 sum them: [OC, kernel, C / groups].
///
/// @unchecked Sendable: immutable after init.
final class RoundedWeights: @unchecked Sendable {
  let storage: Storage

  init(storage: Storage) {
    self.storage = storage
  }
}

/// An algorithm made ready for one problem.
enum ConvolutionRoute {
  case depthwise(DepthwiseConvolution)
  case winograd(WinogradConvolution)
  case dot(DotConvolution)
  case direct(DirectConvolution)
  case product(ImplicitProduct)

  func run(on pool: ThreadPool) throws(MartletError) -> Execution {
    switch self {
    case .depthwise(let convolution): try convolution.run(on: pool)
    case .winograd(let convolution): try convolution.run(on: pool)
    case .dot(let convolution): try convolution.run(on: pool)
    case .direct(let convolution): try convolution.run(on: pool)
    case .product(let product): try product.run(on: pool)
    }
  }
}

/// Convolution on a GEMM row, one product per image and group. In bf16 K runs over the taps and, within
/// each, the channels: so do the rounded weights and the im2col matrix of a bf16 row.
struct ImplicitProduct {
  private let problem: ConvolutionProblem
  /// Owns what the loop's left operand points into.
  private let rounded: RoundedWeights?
  private let loop: FloatLoop
  private let execution: Execution

  /// `rounded`: the problem's weights, where products are taken in bf16.
  init(
    _ problem: ConvolutionProblem, _ rounded: RoundedWeights?, _ kernels: KernelSet
  ) throws(MartletError) {
    self.problem = problem
    self.rounded = rounded
    let (permitsBF16, refusal) = kernels.precision(for: problem.mode)
    let usesBF16 = permitsBF16 && problem.reasonForFP32 == nil
    let reason = permitsBF16 ? problem.reasonForFP32 ?? refusal : refusal
    let type: DType = usesBF16 ? .bfloat16 : .float32
    guard let row = kernels.row(dst: .float32, lhs: type, rhs: type) else {
      throw MartletError(.internalError, "no GEMM kernel multiplies \(type)")
    }
    execution = Execution(
      backend: "native", kernel: row.name, precision: usesBF16 ? "bf16" : "fp32", reason: reason)

    let k = problem.groupDepth
    let weights: MatrixView =
      if usesBF16, let rounded {
        MatrixView(rounded.storage.base, .bfloat16, rowStride: k)
      } else {
        MatrixView(UnsafeMutableRawPointer(mutating: problem.weights), .float32, rowStride: k)
      }
    let rowStride = problem.output.count * 4
    var epilogue = Epilogue()
    epilogue.activation = problem.activation
    epilogue.rowBias = problem.bias
    var resolved = ProductEpilogue(epilogue, kernels: kernels)
    resolved.tile.residual = problem.residual
    resolved.tile.residual_stride = Int64(rowStride)
    var staging = FloatLoop.Staging()
    staging.sumsInScratch = problem.residual == UnsafePointer(problem.dst)
    loop = FloatLoop(
      row: row, kernels: kernels, k: k, kc: row.kc, mc: row.mc,
      lhs: LeftOperand(weights, row: row), rhs: .image(problem.image),
      dst: UnsafeMutableRawPointer(problem.dst), dstStride: rowStride, dstElementBytes: 4,
      epilogue: resolved, staging: staging)
  }

  func run(on pool: ThreadPool) throws(MartletError) -> Execution {
    defer { withExtendedLifetime(rounded) {} }
    let matrices = problem.batch * problem.groups
    let pixels = problem.output.count
    guard matrices > 0, pixels > 0, problem.groupRows > 0 else { return execution }
    // Too few blocks of pixels for the threads, as in the last layers of a network on one image:
    // the threads pack the pixels together and share out the weights, which are then read once.
    let blocks = matrices * ((pixels + GEMMPlan.narrowColumns - 1) / GEMMPlan.narrowColumns)
    let work =
      Double(problem.groupRows) * Double(problem.groupDepth) * Double(pixels) * Double(matrices)
    let isRunning: Bool
    if pool.threadCount > 1, blocks < 3 * pool.threadCount,
      work >= Double(GEMMPlan.serialWork) * GEMMPlan.pace(loop.row)
    {
      isRunning = (0..<matrices).allSatisfy { sharingPixels(moved(loop, to: $0), pool) }
    } else {
      isRunning = items(loop, matrices: matrices, packsRHS: true, pool)
    }
    guard isRunning else {
      throw MartletError(.outOfMemory, "conv: no memory for a block of pixels")
    }
    return execution
  }

  private func items(
    _ loop: FloatLoop, matrices: Int, packsRHS: Bool, _ pool: ThreadPool
  ) -> Bool {
    let plan = GEMMPlan(
      GEMMPlan.Request(
        m: problem.groupRows, n: problem.output.count, k: problem.groupDepth,
        matrices: matrices, threads: pool.threadCount, copiesLHS: !packsRHS || loop.lhs.isCopied,
        lhsStride: loop.lhs.strideInPlace,
        packsRHS: packsRHS, isStaged: loop.staging.isNeeded),
      row: loop.row)
    return loop.run(
      plan, rows: problem.groupRows, columns: 0..<problem.output.count, matrices: matrices,
      on: pool, moved: packsRHS ? { moved($0, to: $1) } : { loop, _ in loop })
  }

  private func sharingPixels(_ loop: FloatLoop, _ pool: ThreadPool) -> Bool {
    loop.sharingPanels(
      columns: problem.output.count, bytes: Int.max, threads: pool.threadCount, isParallel: true,
      on: pool
    ) { loop, _ in items(loop, matrices: 1, packsRHS: false, pool) }
  }

  /// The loop on image `index / groups`, group `index % groups`.
  private func moved(_ loop: FloatLoop, to index: Int) -> FloatLoop {
    let (image, group) = index.quotientAndRemainder(dividingBy: problem.groups)
    let groupChannels = problem.inChannels / problem.groups
    let firstIn = image * problem.inChannels + group * groupChannels
    let firstOut = group * problem.groupRows
    let dstOffset = (image * problem.outChannels + firstOut) * problem.output.count
    var loop = loop
    let weightBytes = loop.lhs.elementBytes(loop.row)
    loop.lhs = loop.lhs.moved(by: firstOut * problem.groupDepth * weightBytes)
    var source = problem.image
    source.src = problem.src + firstIn * problem.input.count
    loop.rhs = .image(source)
    loop.dst += dstOffset * 4
    if let bias = loop.epilogue.tile.bias_m { loop.epilogue.tile.bias_m = bias + firstOut }
    if let residual = loop.epilogue.tile.residual {
      loop.epilogue.tile.residual = residual + dstOffset
    }
    return loop
  }
}

extension ConvolutionProblem {
  /// The first image and group as the packing kernels take it.
  fileprivate var image: mk_pack_conv {
    var image = packing
    image.src = src
    return image
  }
}

extension ConvolutionShaped {
  /// One image and group as the packing kernels take it, without its source.
  var packing: mk_pack_conv {
    var image = mk_pack_conv()
    image.channels = Int64(inChannels / groups)
    (image.in_d, image.in_h, image.in_w) = input.int64s
    (image.ker_d, image.ker_h, image.ker_w) = kernel.int64s
    (image.out_d, image.out_h, image.out_w) = output.int64s
    (image.stride_d, image.stride_h, image.stride_w) = stride.int64s
    (image.dil_d, image.dil_h, image.dil_w) = dilation.int64s
    (image.pad_d, image.pad_h, image.pad_w) = padding.int64s
    return image
  }
}

extension SpatialExtents {
  fileprivate var int64s: (Int64, Int64, Int64) { (Int64(d), Int64(h), Int64(w)) }
}

extension LeftOperand {
  /// Bytes of one element of the source.
  fileprivate func elementBytes(_ row: GEMMRow) -> Int {
    if case .copied(_, _, _, let isF32) = self, isF32 { 4 } else { row.lhsBytes }
  }
}
