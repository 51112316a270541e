import MartletCore
import MartletKernels
import Synchronization

/// One filter per channel (and any multiple of output channels): plane by plane, always in f32,
/// because no matrix is multiplied.
struct DepthwiseConvolution {
  private let problem: ConvolutionProblem
  private let kernel: @convention(c) (UnsafePointer<mk_depthwise>?) -> Void
  private let add: mk_binary_fn?
  private let pass: ProductEpilogue.Strip?
  /// What the kernel does before it stores; the rest is `add` and `pass`.
  private let fused: (act: Int32, lo: Float, hi: Float)

  init(_ problem: ConvolutionProblem, _ kernels: KernelSet) {
    self.problem = problem
    guard let kernel = kernels.vectors.pointee.depthwise else {
      preconditionFailure("the vector table lacks depthwise")
    }
    self.kernel = kernel
    if problem.residual != nil {
      // The residual comes between bias and activation.
      add = kernels.binary(Int(MK_BINARY_ADD))
      fused = (Int32(MK_ACT_NONE), 0, 0)
      pass = ProductEpilogue.pass(problem.activation, kernels)
    } else {
      add = nil
      fused = ProductEpilogue.tileActivation(problem.activation)
      pass = ProductEpilogue.strip(problem.activation, kernels)
    }
  }

  func run(on pool: ThreadPool) throws(MartletError) -> Execution {
    let planes = problem.batch * problem.outChannels
    let pixels = problem.output.count
    let execution = Execution(
      backend: "native", kernel: "depthwise", precision: "fp32",
      reason: problem.mode == .fp32 ? "" : problem.reasonForFP32 ?? "")
    guard planes > 0, pixels > 0 else { return execution }
    let planeWork = Double(pixels) * Double(problem.kernel.count)
    // Items of some ten microseconds; results do not depend on who runs which plane.
    let perItem = max(1, min(planes, Int(65536 / max(planeWork, 1))))
    let items = (planes + perItem - 1) / perItem
    let failures = Atomic<Int>(0)
    func runItem(_ index: Int) {
      for plane in index * perItem..<min((index + 1) * perItem, planes) where !runPlane(plane) {
        failures.add(1, ordering: .relaxed)
      }
    }
    if Double(planes) * planeWork < 131_072 {
      for index in 0..<items { runItem(index) }
    } else {
      pool.parallelFor(items, runItem)
    }
    guard failures.load(ordering: .relaxed) == 0 else {
      throw MartletError(.outOfMemory, "conv: no memory for one plane")
    }
    return execution
  }

  /// False: no memory.
  private func runPlane(_ plane: Int) -> Bool {
    let (image, channel) = plane.quotientAndRemainder(dividingBy: problem.outChannels)
    let pixels = problem.output.count
    let inputPlane = image * problem.inChannels + channel / problem.groupRows
    // Where dst is also the residual, its values are still needed after the kernel has run.
    let dst = problem.dst + plane * pixels
    if let residual = problem.residual, residual == UnsafePointer(problem.dst) {
      return ThreadScratch.withBytes(pixels * 4, .item) { scratch in
        let sums = scratch.assumingMemoryBound(to: Float.self)
        convolve(inputPlane, channel, into: sums)
        finish(sums, residual + plane * pixels, into: dst)
      }
    }
    convolve(inputPlane, channel, into: dst)
    finish(dst, problem.residual.map { $0 + plane * pixels }, into: dst)
    return true
  }

  private func convolve(
    _ inputPlane: Int, _ channel: Int, into dst: UnsafeMutablePointer<Float>
  ) {
    var job = mk_depthwise()
    job.src = problem.src + inputPlane * problem.input.count
    job.in_h = Int64(problem.input.h)
    job.in_w = Int64(problem.input.w)
    job.weight = problem.weights + channel * problem.kernel.count
    job.ker_h = Int64(problem.kernel.h)
    job.ker_w = Int64(problem.kernel.w)
    job.dst = dst
    job.out_h = Int64(problem.output.h)
    job.out_w = Int64(problem.output.w)
    job.stride_h = Int64(problem.stride.h)
    job.stride_w = Int64(problem.stride.w)
    job.dil_h = Int64(problem.dilation.h)
    job.dil_w = Int64(problem.dilation.w)
    job.pad_h = Int64(problem.padding.h)
    job.pad_w = Int64(problem.padding.w)
    job.bias = problem.bias?[channel] ?? 0
    (job.act, job.lo, job.hi) = fused
    kernel(&job)
  }

  private func finish(
    _ sums: UnsafeMutablePointer<Float>, _ residual: UnsafePointer<Float>?,
    into dst: UnsafeMutablePointer<Float>
  ) {
    let count = Int64(problem.output.count)
    if let add, let residual { add(count, sums, 1, residual, 1, dst) }
    if let pass { pass.function(count, dst, dst, pass.a, pass.b) }
  }
}
