import MartletCore
import Testing

@testable import MartletBackends

/// One random convolution with its operands in guarded memory, drawn from a seed.
private final class ConvolutionCase {
  let seed: UInt64
  var problem: ConvolutionProblem
  let dstCount: Int
  private let residual: [Float]
  private let residualIsDst: Bool

  init(seed: UInt64, memory: GEMMCase.Memory, mode: MathMode) {
    self.seed = seed
    var random = RandomSource(seed: seed)
    let rank = random.pick([1, 2, 2, 2, 3])
    let isDepthwise = random.chance(30)
    let groups = isDepthwise ? random.int(2...9) : random.pick([1, 1, 1, 2, 3])
    let inPerGroup = isDepthwise ? 1 : random.pick([1, 2, 3, 5, 8, 17])
    let outPerGroup =
      isDepthwise ? random.pick([1, 1, 2, 3]) : random.pick([1, 2, 4, 6, 7, 13, 16])
    let batch = random.pick([1, 1, 2, 3])
    var input: [Int] = []
    var kernel: [Int] = []
    var stride: [Int] = []
    var dilation: [Int] = []
    var padding: [Int] = []
    var output: [Int] = []
    let isPointwise = random.chance(15)
    for _ in 0..<rank {
      let taps = isPointwise ? 1 : random.pick([1, 2, 3, 3, 5])
      let gap = random.pick([1, 1, 1, 2])
      let step = random.pick([1, 1, 2, 3])
      let before = isPointwise ? 0 : random.pick([0, 1, 1, 2])
      let after = isPointwise ? 0 : random.pick([0, 1, 1, 2])
      let reach = (taps - 1) * gap + 1
      let extent = max(random.int(1...(rank == 3 ? 6 : 14)), reach - before - after)
      input.append(extent)
      kernel.append(taps)
      dilation.append(gap)
      stride.append(step)
      padding.append(before)
      output.append((extent + before + after - reach) / step + 1)
    }
    let inExtents = SpatialExtents(input, fill: 1)
    let kernelExtents = SpatialExtents(kernel, fill: 1)
    let outExtents = SpatialExtents(output, fill: 1)
    let outChannels = groups * outPerGroup
    func filled(_ buffer: GuardedBuffer, _ count: Int) -> UnsafeMutablePointer<Float> {
      let values = buffer.elements(count, filledWith: Float.nan)
      for index in 0..<count { values[index] = random.float() }
      return values
    }
    let src = filled(memory.lhs, batch * groups * inPerGroup * inExtents.count)
    let weights = filled(memory.rhs, outChannels * inPerGroup * kernelExtents.count)
    let bias = filled(memory.bias, outChannels)
    dstCount = batch * outChannels * outExtents.count
    let dst = memory.dst.elements(dstCount, filledWith: Float.nan)
    problem = ConvolutionProblem(
      batch: batch, groups: groups, inChannels: groups * inPerGroup, outChannels: outChannels,
      input: inExtents, kernel: kernelExtents, output: outExtents, src: src, weights: weights,
      dst: dst, mode: mode)
    problem.stride = SpatialExtents(stride, fill: 1)
    problem.dilation = SpatialExtents(dilation, fill: 1)
    problem.padding = SpatialExtents(padding, fill: 0)
    if random.chance(60) { problem.bias = UnsafePointer(bias) }
    problem.activation = random.pick(GEMMCase.Options().activations)
    var aliases = false
    if random.chance(30) {
      aliases = random.chance(40)
      let values = aliases ? dst : filled(memory.residual, dstCount)
      if aliases { for index in 0..<dstCount { values[index] = random.float() } }
      problem.residual = UnsafePointer(values)
    }
    residualIsDst = aliases
    residual = aliases ? (0..<dstCount).map { dst[$0] } : []
  }

  func failure(_ backend: NativeBackend, _ pool: ThreadPool) throws -> String? {
    let rounds = backend.kernels.precision(for: problem.mode).usesBF16
    let expected = ReferenceBackend(roundsToBF16: rounds).convolve(problem)
    let magnitude = ReferenceBackend(roundsToBF16: rounds, sumsMagnitudes: true)
      .convolve(problem)
    let execution = try backend.convolve(problem, pool: pool)
    for index in 0..<dstCount {
      let bound = Tolerance.product(
        k: problem.groupDepth, magnitude: magnitude[index], terms: 2,
        activation: problem.activation, result: expected[index], roundsTo16: false)
      let actual = Double(problem.dst[index])
      guard abs(actual - expected[index]) <= bound else {
        return
          "seed \(seed): \(execution.kernel) element \(index) is \(actual), expected \(expected[index]) within \(bound); \(problem)"
      }
    }
    return nil
  }

  func bits(_ run: (ConvolutionProblem) throws -> Void) rethrows -> [UInt32] {
    for (index, value) in residual.enumerated() { problem.dst[index] = value }
    try run(problem)
    return (0..<dstCount).map { problem.dst[$0].bitPattern }
  }
}

@Suite(.serialized) struct NativeConvolutionTests {
  @Test("random convolutions agree with float64 on every instruction set")
  func agreesWithReference() throws {
    let memory = try GEMMCase.Memory()
    for index in 0..<1800 {
      let seed = UInt64(11) << 32 | UInt64(index)
      for kernels in testedKernels {
        let example = ConvolutionCase(
          seed: seed, memory: memory, mode: index % 2 == 0 ? .fp32 : .bf16)
        if let failure = try example.failure(NativeBackend(kernels: kernels), .shared) {
          Issue.record("\(kernels.name): \(failure)")
          return
        }
      }
    }
  }

  @Test("bits are the same on 1, 2 and 3 threads, image by image, with weights rounded before")
  func bitsAreFixed() throws {
    let memory = try GEMMCase.Memory()
    let pool = ThreadPool.shared
    defer { try? pool.setThreadCount(0) }
    for index in 0..<900 {
      let seed = UInt64(12) << 32 | UInt64(index)
      for kernels in testedKernels {
        let backend = NativeBackend(kernels: kernels)
        let example = ConvolutionCase(seed: seed, memory: memory, mode: .bf16)
        try pool.setThreadCount(1)
        let alone = try example.bits { _ = try backend.convolve($0, pool: pool) }
        for threads in [2, 3] {
          try pool.setThreadCount(threads)
          let bits = try example.bits { _ = try backend.convolve($0, pool: pool) }
          #expect(bits == alone, "seed \(seed), \(kernels.name): \(threads) threads")
        }
        let single = try example.bits { whole in
          for image in 0..<whole.batch {
            var one = whole
            one.batch = 1
            one.src += image * whole.inChannels * whole.input.count
            let offset = image * whole.outChannels * whole.output.count
            one.dst += offset
            one.residual = whole.residual.map { $0 + offset }
            one.roundedWeights = try backend.roundWeights(
              whole.weights, count: whole.outChannels * whole.groupDepth, mode: whole.mode)
            _ = try backend.convolve(one, pool: pool)
          }
        }
        #expect(single == alone, "seed \(seed), \(kernels.name): image by image")
        if single != alone { return }
      }
    }
  }

  @Test("gates of one pixel and depthwise convolutions stay in fp32 under BF16, and say so")
  func gatesStayInFP32() throws {
    let one = SpatialExtents(d: 1, h: 1, w: 1)
    let values = UnsafeMutablePointer<Float>.allocate(capacity: 96 + 12 + 8)
    values.initialize(repeating: 1, count: 96 + 12 + 8)
    defer { values.deallocate() }
    var gate = ConvolutionProblem(
      batch: 1, groups: 1, inChannels: 12, outChannels: 8, input: one, kernel: one, output: one,
      src: values, weights: values + 12, dst: values + 108, mode: .bf16)
    for kernels in testedKernels {
      let execution = try NativeBackend(kernels: kernels).convolve(gate, pool: .shared)
      #expect(execution.precision == "fp32" && !execution.reason.isEmpty)
    }
    #expect(gate.reasonForFP32 != nil)
    (gate.inChannels, gate.outChannels) = (2048, 1024)
    #expect(gate.reasonForFP32 == nil)
    gate.input = SpatialExtents(d: 1, h: 1, w: 2)
    (gate.inChannels, gate.outChannels) = (12, 8)
    #expect(gate.reasonForFP32 == nil)
    (gate.groups, gate.outChannels) = (12, 12)
    #expect(gate.reasonForFP32 != nil)
  }
}
