import MartletCore
import MartletKernels

/// One filter per channel (and any multiple of output channels): plane by plane, always in f32,
/// because no matrix is multiplied.
struct DepthwiseConvolution {
  private let problem: ConvolutionProblem
  private let kernel: @convention(c) (UnsafePointer<mk_depthwise>?) -> Void
  private let add: mk_binary_fn?
  private let pass: ProductEpilogue.Strip?
  /// The first image's planes; what the kernel does not do before it stores is `add` and `pass`.
  private let job: mk_depthwise

  /// Multiply-adds of one work item: some ten microseconds on small images.
  private static let itemWork = 65_536.0
  /// Multiply-adds below which waking other threads costs more than they do.
  private static let serialWork = 262_144.0
  /// Pixels that stay in L1 between the kernel and what is left of the epilogue.
  private static let nearPixels = 4096

  init(_ problem: ConvolutionProblem, _ kernels: KernelSet) {
    self.problem = problem
    kernel = kernels.vectors.table.depthwise
    var job = problem.depthwiseJob
    if problem.residual != nil {
      // The residual comes between bias and activation.
      add = kernels.vectors.binary[Int(MK_BINARY_ADD)]
      job.act = Int32(MK_ACT_NONE)
      pass = ProductEpilogue.pass(problem.activation, kernels)
    } else {
      add = nil
      (job.act, job.lo, job.hi) = ProductEpilogue.tileActivation(problem.activation)
      pass = ProductEpilogue.strip(problem.activation, kernels)
    }
    self.job = job
  }

  func run(on pool: ThreadPool) throws(MartletError) -> Execution {
    let channels = problem.outChannels
    let height = problem.output.h
    let execution = Execution(
      backend: "native", kernel: "depthwise", precision: "fp32",
      reason: problem.mode == .fp32 ? "" : problem.reasonForFP32 ?? "")
    guard problem.batch > 0, channels > 0, problem.output.count > 0 else { return execution }
    // An item is some planes, or some rows of one where planes are few; a short row costs as much as
    // a vector. Results do not depend on who runs what.
    let planeWork =
      Double(height) * Double(max(problem.output.w, 8)) * Double(problem.kernel.count)
    let total = Double(problem.batch) * Double(channels) * planeWork
    let isParallel = pool.threadCount > 1 && total >= DepthwiseConvolution.serialWork
    let planes = max(1, min(channels, Int(DepthwiseConvolution.itemWork / max(planeWork, 1))))
    let chunks = (channels + planes - 1) / planes
    var rows = height
    if isParallel, planes == 1, channels < 3 * pool.threadCount {
      let fewest = max(16, Int(DepthwiseConvolution.itemWork / planeWork * Double(height)))
      rows = min(height, max(fewest, height * channels / (3 * pool.threadCount)))
    }
    let parts = (height + rows - 1) / rows
    let isRunning = WorkItems.run(
      problem.batch * chunks * parts, isParallel: isParallel, on: pool
    ) { index in
      let (image, rest) = index.quotientAndRemainder(dividingBy: chunks * parts)
      let (chunk, part) = rest.quotientAndRemainder(dividingBy: parts)
      return runPlanes(
        chunk * planes..<min((chunk + 1) * planes, channels), image: image,
        rows: part * rows..<min((part + 1) * rows, height))
    }
    guard isRunning else {
      throw MartletError(.outOfMemory, "conv: no memory for one plane")
    }
    return execution
  }

  /// False: no memory.
  private func runPlanes(_ planes: Range<Int>, image: Int, rows: Range<Int>) -> Bool {
    var job = job
    let pixels = problem.output.count
    job.src += image * problem.inChannels * problem.input.count
    job.y0 = Int64(rows.lowerBound)
    job.y1 = Int64(rows.upperBound)
    let step =
      add == nil && pass == nil
      ? planes.count : max(1, DepthwiseConvolution.nearPixels / pixels)
    var isRunning = true
    for first in stride(from: planes.lowerBound, to: planes.upperBound, by: step) {
      let count = min(step, planes.upperBound - first)
      let offset = (image * problem.outChannels + first) * pixels
      job.first = Int64(first)
      job.planes = Int64(count)
      // Where dst is also the residual, its values are still needed after the kernel has run.
      if let residual = problem.residual, residual == UnsafePointer(problem.dst) {
        isRunning = ThreadScratch.withBytes(count * pixels * 4, .item) { scratch in
          let sums = scratch.assumingMemoryBound(to: Float.self)
          job.dst = sums
          kernel(&job)
          finish(sums, count, rows, residual: residual + offset, into: problem.dst + offset)
        }
        guard isRunning else { return false }
      } else {
        job.dst = problem.dst + offset
        kernel(&job)
        finish(
          problem.dst + offset, count, rows, residual: problem.residual.map { $0 + offset },
          into: problem.dst + offset)
      }
    }
    return isRunning
  }

  /// The rest of the epilogue on `rows` of `planes` planes.
  private func finish(
    _ sums: UnsafeMutablePointer<Float>, _ planes: Int, _ rows: Range<Int>,
    residual: UnsafePointer<Float>?, into dst: UnsafeMutablePointer<Float>
  ) {
    guard add != nil || pass != nil else { return }
    let pixels = problem.output.count
    let isWhole = rows.count == problem.output.h
    let count = Int64(isWhole ? planes * pixels : rows.count * problem.output.w)
    for plane in 0..<(isWhole ? 1 : planes) {
      let first = plane * pixels + rows.lowerBound * problem.output.w
      if let add, let residual { add(count, sums + first, 1, residual + first, 1, dst + first) }
      if let pass { pass.function(count, dst + first, dst + first, pass.a, pass.b) }
    }
  }
}

extension ConvolutionProblem {
  /// The planes of the first image as the kernel takes them; which ones, and where to, is left open.
  fileprivate var depthwiseJob: mk_depthwise {
    var job = mk_depthwise()
    job.multiplier = Int64(groupRows)
    job.src = src
    job.in_h = Int64(input.h)
    job.in_w = Int64(input.w)
    job.weight = weights
    job.ker_h = Int64(kernel.h)
    job.ker_w = Int64(kernel.w)
    job.out_h = Int64(output.h)
    job.out_w = Int64(output.w)
    job.stride_h = Int64(stride.h)
    job.stride_w = Int64(stride.w)
    job.dil_h = Int64(dilation.h)
    job.dil_w = Int64(dilation.w)
    job.pad_h = Int64(padding.h)
    job.pad_w = Int64(padding.w)
    job.bias = bias
    return job
  }
}
