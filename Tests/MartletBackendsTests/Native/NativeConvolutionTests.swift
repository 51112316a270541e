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

  /// `isWinograd`: of a shape that Winograd's algorithm takes.
  init(seed: UInt64, memory: GEMMCase.Memory, mode: MathMode, isWinograd: Bool = false) {
    self.seed = seed
    var random = RandomSource(seed: seed)
    let rank = isWinograd ? 2 : random.pick([1, 2, 2, 2, 3])
    let isDepthwise = !isWinograd && random.chance(30)
    let groups = isDepthwise ? random.int(2...9) : random.pick([1, 1, 1, 2, 3])
    let inPerGroup = isDepthwise ? 1 : random.pick([1, 2, 3, 5, 8, 17])
    let outPerGroup =
      isDepthwise
      ? random.pick([1, 1, 2, 3])
      : random.pick(isWinograd ? [1, 2, 7, 13, 53] : [1, 2, 4, 6, 7, 13, 16])
    let batch = random.pick([1, 1, 2, 3])
    var input: [Int] = []
    var kernel: [Int] = []
    var stride: [Int] = []
    var dilation: [Int] = []
    var padding: [Int] = []
    var output: [Int] = []
    let isPointwise = !isWinograd && random.chance(15)
    for _ in 0..<rank {
      let taps = isPointwise ? 1 : isWinograd ? 3 : random.pick([1, 2, 3, 3, 5])
      let gap = isWinograd ? 1 : random.pick([1, 1, 1, 2])
      let step = isWinograd ? 1 : random.pick([1, 1, 2, 3])
      let before = isPointwise ? 0 : random.pick([0, 1, 1, 2])
      let after = isPointwise ? 0 : random.pick([0, 1, 1, 2])
      let reach = (taps - 1) * gap + 1
      let largest = rank == 3 ? 6 : isWinograd && random.chance(10) ? 70 : 14
      let extent = max(random.int(1...largest), reach - before - after)
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
      ConvolutionGeometry(
        batch: batch, groups: groups, inChannels: groups * inPerGroup, outChannels: outChannels,
        input: inExtents, kernel: kernelExtents, output: outExtents),
      src: src, weights: weights,
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
    let expected = ReferenceBackend(roundsToBF16: rounds).convolution(problem)
    let magnitude = ReferenceBackend(roundsToBF16: rounds, sumsMagnitudes: true)
      .convolution(problem)
    let execution = try backend.convolve(problem, pool: pool)
    let largest = magnitude.max() ?? 0
    for index in 0..<dstCount {
      // Winograd's errors go by what the whole tile holds.
      let m = Double(problem.prepared?.winogradTile ?? 0)
      let bound = Tolerance.product(
        k: problem.groupDepth, magnitude: m > 0 ? m * largest : magnitude[index], terms: 2,
        activation: problem.activation, result: expected[index], roundsTo16: false)
      let actual = Double(problem.dst[index])
      guard abs(actual - expected[index]) <= bound else {
        return
          "seed \(seed): \(execution.kernel) element \(index) is \(actual), expected \(expected[index]) within \(bound); \(problem)"
      }
    }
    return nil
  }

  /// Has the case run by Winograd's algorithm F(m x m, 3 x 3).
  func useWinograd(_ m: Int, _ backend: NativeBackend, _ pool: ThreadPool) throws {
    problem.prepared = .init(.winograd(try backend.winogradWeights(problem, m: m, pool: pool)))
  }

  /// Has the case run without an im2col matrix, where it can.
  func useDirect(_ backend: NativeBackend, _ pool: ThreadPool) throws -> Bool {
    guard backend.canConvolveDirectly(problem) else { return false }
    problem.prepared = .init(.direct(try backend.directWeights(problem, pool: pool)))
    return true
  }

  func bits(_ run: (ConvolutionProblem) throws -> Void) rethrows -> [UInt32] {
    for (index, value) in residual.enumerated() { problem.dst[index] = value }
    try run(problem)
    return (0..<dstCount).map { problem.dst[$0].bitPattern }
  }
}

@Suite(.serialized) struct NativeConvolutionTests {
  /// Records where the bits of a convolution on two and three threads, or image by image, are not
  /// those of the whole batch on one thread, and says whether.
  private func bitsMove(
    _ example: ConvolutionCase, _ backend: NativeBackend, _ pool: ThreadPool, _ what: String
  ) throws -> Bool {
    try pool.setThreadCount(1)
    let alone = try example.bits { _ = try backend.convolve($0, pool: pool) }
    var isMoved = false
    for threads in [2, 3] {
      try pool.setThreadCount(threads)
      let bits = try example.bits { _ = try backend.convolve($0, pool: pool) }
      #expect(bits == alone, "\(what): \(threads) threads")
      isMoved = isMoved || bits != alone
    }
    let single = try example.bits { whole in
      for image in 0..<whole.batch {
        var one = whole
        one.batch = 1
        one.src += image * whole.inChannels * whole.input.count
        let offset = image * whole.outChannels * whole.output.count
        one.dst += offset
        one.residual = whole.residual.map { $0 + offset }
        if one.prepared == nil {
          one.prepared = .init(.rounded(try backend.roundedWeights(whole, pool: pool)))
        }
        _ = try backend.convolve(one, pool: pool)
      }
    }
    #expect(single == alone, "\(what): image by image")
    return isMoved || single != alone
  }

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

  @Test("the reference backend writes what its oracle says, over a residual in dst too")
  func referenceWrites() throws {
    let memory = try GEMMCase.Memory()
    for index in 0..<300 {
      let example = ConvolutionCase(
        seed: UInt64(23) << 32 | UInt64(index), memory: memory,
        mode: index % 2 == 0 ? .fp32 : .bf16)
      for rounds in [false, true] {
        let backend = ReferenceBackend(roundsToBF16: rounds)
        var expected: [Double] = []
        let bits = try example.bits {
          expected = backend.convolution($0)
          let execution = try backend.convolve($0, pool: .shared)
          let isRounded = rounds && index % 2 == 1 && $0.reasonForFP32 == nil
          #expect(execution.precision == (isRounded ? "bf16" : "fp64"))
        }
        #expect(bits == expected.map { Float($0).bitPattern }, "case \(index)")
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
        if try bitsMove(example, backend, pool, "seed \(seed), \(kernels.name)") { return }
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
      ConvolutionGeometry(
        batch: 1, groups: 1, inChannels: 12, outChannels: 8, input: one, kernel: one, output: one),
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

  @Test("Winograd's algorithm agrees with float64 on every instruction set")
  func winogradAgreesWithReference() throws {
    let memory = try GEMMCase.Memory()
    for index in 0..<160 {
      let seed = UInt64(13) << 32 | UInt64(index)
      for kernels in testedKernels {
        let backend = NativeBackend(kernels: kernels)
        let example = ConvolutionCase(seed: seed, memory: memory, mode: .fp32, isWinograd: true)
        try example.useWinograd(index % 2 == 0 ? 2 : 4, backend, .shared)
        if let failure = try example.failure(backend, .shared) {
          Issue.record("\(kernels.name): \(failure)")
          return
        }
      }
    }
  }

  @Test("Winograd's bits are the same on 1, 2 and 3 threads and image by image")
  func winogradBitsAreFixed() throws {
    let memory = try GEMMCase.Memory()
    let pool = ThreadPool.shared
    defer { try? pool.setThreadCount(0) }
    for index in 0..<160 {
      let seed = UInt64(14) << 32 | UInt64(index)
      for kernels in testedKernels {
        let backend = NativeBackend(kernels: kernels)
        let example = ConvolutionCase(seed: seed, memory: memory, mode: .fp32, isWinograd: true)
        try example.useWinograd(index % 2 == 0 ? 2 : 4, backend, pool)
        if try bitsMove(example, backend, pool, "seed \(seed), \(kernels.name)") { return }
      }
    }
  }

  @Test("convolution without an im2col matrix agrees with float64 on every instruction set")
  func directAgreesWithReference() throws {
    let memory = try GEMMCase.Memory()
    var compared = 0
    for index in 0..<1200 {
      let seed = UInt64(16) << 32 | UInt64(index)
      for kernels in testedKernels {
        let backend = NativeBackend(kernels: kernels)
        let example = ConvolutionCase(seed: seed, memory: memory, mode: .fp32)
        guard try example.useDirect(backend, .shared) else { continue }
        compared += 1
        if let failure = try example.failure(backend, .shared) {
          Issue.record("\(kernels.name): \(failure)")
          return
        }
      }
    }
    #expect(compared > 1000, "too few cases run this way")
  }

  @Test("its values are the product's, its bits fixed over threads and images")
  func directBitsAreFixed() throws {
    let memory = try GEMMCase.Memory()
    let pool = ThreadPool.shared
    defer { try? pool.setThreadCount(0) }
    var compared = 0
    for index in 0..<600 {
      let seed = UInt64(17) << 32 | UInt64(index)
      for kernels in testedKernels {
        let backend = NativeBackend(kernels: kernels)
        let example = ConvolutionCase(seed: seed, memory: memory, mode: .fp32)
        try pool.setThreadCount(1)
        let product = try example.bits { _ = try backend.convolve($0, pool: pool) }
        guard try example.useDirect(backend, pool) else { continue }
        compared += 1
        let alone = try example.bits { _ = try backend.convolve($0, pool: pool) }
        #expect(
          zip(alone, product).allSatisfy { Float(bitPattern: $0) == Float(bitPattern: $1) },
          "seed \(seed), \(kernels.name): not the product's values")
        if try bitsMove(example, backend, pool, "seed \(seed), \(kernels.name)") { return }
      }
    }
    #expect(compared > 500, "too few cases run this way")
  }

  @Test("larger layers in bands, areas and tiles have the product's values on any threads")
  func directFormsAgree() throws {
    let memory = try GEMMCase.Memory()
    let pool = ThreadPool.shared
    defer { try? pool.setThreadCount(0) }
    // channels in, channels out, groups, height, width, kernel, stride, dilation, padding
    let layers = [
      [3, 20, 1, 35, 41, 7, 2, 1, 3], [3, 16, 1, 48, 48, 3, 2, 1, 1],
      [96, 40, 1, 15, 15, 3, 2, 1, 1], [8, 8, 2, 20, 20, 3, 1, 12, 12],
      [50, 33, 1, 9, 9, 3, 1, 12, 12], [7, 5, 1, 2, 2, 3, 1, 1, 1],
      [12, 24, 3, 24, 28, 3, 1, 6, 6], [70, 21, 1, 7, 7, 1, 1, 1, 0],
      [64, 48, 2, 15, 17, 1, 2, 1, 0], [2, 9, 1, 1, 1400, 5, 1, 3, 6],
      [4, 8, 1, 3, 700, 3, 2, 1, 1], [500, 12, 1, 6, 6, 5, 1, 1, 2],
      [3, 6, 1, 5, 5, 1, 1, 1, 4], [90, 76, 2, 1, 1, 1, 1, 1, 0], [6, 70, 1, 4, 4, 3, 3, 3, 5],
    ]
    for (index, layer) in layers.enumerated() {
      var random = RandomSource(seed: UInt64(18) << 32 | UInt64(index))
      let reach = (layer[5] - 1) * layer[7] + 1
      func extent(_ input: Int) -> Int { (input + 2 * layer[8] - reach) / layer[6] + 1 }
      // One row stays one row.
      let isLine = layer[3] == 1
      let input = SpatialExtents(d: 1, h: layer[3], w: layer[4])
      let output = SpatialExtents(d: 1, h: isLine ? 1 : extent(layer[3]), w: extent(layer[4]))
      let kernel = SpatialExtents(d: 1, h: isLine ? 1 : layer[5], w: layer[5])
      func filled(_ buffer: GuardedBuffer, _ count: Int) -> UnsafeMutablePointer<Float> {
        let values = buffer.elements(count, filledWith: Float.nan)
        for index in 0..<count { values[index] = random.float() }
        return values
      }
      let count = layer[1] * output.count
      let depth = layer[0] / layer[2]
      var problem = ConvolutionProblem(
        ConvolutionGeometry(
          batch: 1, groups: layer[2], inChannels: layer[0], outChannels: layer[1], input: input,
          kernel: kernel, output: output),
        src: filled(memory.lhs, layer[0] * input.count),
        weights: filled(memory.rhs, layer[1] * depth * kernel.count),
        dst: memory.dst.elements(count, filledWith: Float.nan), mode: .fp32)
      problem.stride = SpatialExtents(d: 1, h: layer[6], w: layer[6])
      problem.dilation = SpatialExtents(d: 1, h: layer[7], w: layer[7])
      problem.padding = SpatialExtents(d: 0, h: isLine ? 0 : layer[8], w: layer[8])
      problem.activation = index % 2 == 0 ? .relu : .silu
      for kernels in testedKernels {
        let backend = NativeBackend(kernels: kernels)
        try pool.setThreadCount(1)
        problem.prepared = nil
        _ = try backend.convolve(problem, pool: pool)
        let product = (0..<count).map { problem.dst[$0] }
        problem.prepared = .init(.direct(try backend.directWeights(problem, pool: pool)))
        for threads in [1, 2, 3] {
          try pool.setThreadCount(threads)
          for index in 0..<count { problem.dst[index] = .nan }
          let execution = try backend.convolve(problem, pool: pool)
          #expect(execution.kernel.hasPrefix("direct"))
          let values = (0..<count).map { problem.dst[$0] }
          #expect(values == product, "\(kernels.name), \(threads) threads: \(layer)")
        }
      }
    }
  }

  @Test("a tap that lies outside the image at all pixels adds nothing, whatever its weight")
  func tapsOutsideAddNothing() throws {
    let memory = try GEMMCase.Memory()
    for kernels in testedKernels {
      let backend = NativeBackend(kernels: kernels)
      // Of a 3x3 kernel on one pixel only the middle tap is inside.
      var problem = try layer(8, 1)
      let weights = memory.rhs.elements(8 * 8 * 9, filledWith: Float.infinity)
      for filter in 0..<64 { weights[filter * 9 + 4] = 0.5 }
      let src = memory.lhs.elements(8, filledWith: Float.nan)
      for channel in 0..<8 { src[channel] = Float(channel) }
      problem.src = UnsafePointer(src)
      problem.weights = UnsafePointer(weights)
      problem.dst = memory.dst.elements(8, filledWith: Float.nan)
      #expect(backend.directWeightsType(problem) == .float32)
      problem.prepared = .init(.direct(try backend.directWeights(problem, pool: .shared)))
      _ = try backend.convolve(problem, pool: .shared)
      for channel in 0..<8 { #expect(problem.dst[channel] == 14) }
    }
  }

  @Test("weights are packed by the layer's shape and mode, never by the batch")
  func directIsChosenByShape() throws {
    let twos = SpatialExtents(d: 1, h: 2, w: 2)
    let ones = SpatialExtents(d: 1, h: 1, w: 1)
    for kernels in testedKernels {
      let backend = NativeBackend(kernels: kernels)
      let usesBF16 = kernels.precision(for: .bf16).usesBF16
      let hasDot = kernels.row(dst: .float32, lhs: .bfloat16, rhs: .bfloat16)?.dotConvolution != nil
      // What BF16 mode takes, given what FP32 does.
      func inBF16(_ plain: DType?, dot: Bool = true) -> DType? {
        usesBF16 ? (hasDot && dot ? .bfloat16 : nil) : plain
      }
      func type(
        _ channels: Int, _ size: Int, _ mode: MathMode = .fp32, groups: Int = 1,
        change: (inout ConvolutionProblem) -> Void = { _ in }
      ) throws -> DType? {
        backend.directWeightsType(
          try layer(channels, size, mode: mode, groups: groups, change: change))
      }
      for batch in [1, 8] {
        let strided: (inout ConvolutionProblem) -> Void = {
          $0.stride = twos
          $0.batch = batch
        }
        #expect(try type(64, 56, change: strided) == .float32)
        #expect(try type(64, 56, .bf16, change: strided) == inBF16(.float32))
      }
      #expect(try type(64, 56, groups: 64) == nil)
      #expect(try type(64, 56, .bf16, groups: 64) == nil)
      #expect(try type(64, 56, groups: 32) == nil)
      #expect(try type(64, 56, .bf16, groups: 32) == inBF16(nil))
      #expect(try type(64, 56, .bf16, groups: 2) == inBF16(.float32))
      #expect(try type(48, 56, .bf16, groups: 2) == inBF16(.float32, dot: false))
      #expect(try type(63, 56, .bf16) == inBF16(.float32, dot: false))
      #expect(try type(64, 56) { $0.kernel = ones } == nil)
      #expect(try type(64, 56, .bf16) { $0.kernel = ones } == nil)
      #expect(try type(64, 7) { $0.kernel = ones } == .float32)
      #expect(try type(64, 7, .bf16) { $0.kernel = ones } == inBF16(.float32))
      #expect(try type(64, 1) { $0.kernel = ones } == .float32)
      #expect(try type(64, 1, .bf16) { $0.kernel = ones } == .float32)
      // Beyond what offsets of 32 bits reach.
      for mode in [MathMode.fp32, .bf16] {
        let padding = SpatialExtents(d: 0, h: 1 << 30, w: 1 << 30)
        #expect(try type(64, 56, mode) { $0.padding = padding } == nil)
        let output = SpatialExtents(d: 1, h: 1 << 26, w: 1 << 26)
        #expect(try type(64, 56, mode) { $0.output = output } == nil)
      }
    }
  }

  /// A square layer of one image, not to be run.
  private func layer(
    _ channels: Int, _ size: Int, mode: MathMode = .fp32, groups: Int = 1,
    change: (inout ConvolutionProblem) -> Void = { _ in }
  ) throws -> ConvolutionProblem {
    let memory = try Storage(byteCount: 64)
    let floats = memory.base.assumingMemoryBound(to: Float.self)
    let extents = SpatialExtents(d: 1, h: size, w: size)
    var problem = ConvolutionProblem(
      ConvolutionGeometry(
        batch: 1, groups: groups, inChannels: channels, outChannels: channels, input: extents,
        kernel: SpatialExtents(d: 1, h: 3, w: 3), output: extents),
      src: floats, weights: floats,
      dst: floats, mode: mode)
    problem.padding = SpatialExtents(d: 0, h: 1, w: 1)
    change(&problem)
    return problem
  }

  @Test("Winograd's algorithm is chosen by the layer's shape and mode, never by the batch")
  func winogradIsChosenByShape() throws {
    for kernels in testedKernels {
      let backend = NativeBackend(kernels: kernels)
      let hasBF16 = kernels.precision(for: .bf16).usesBF16
      #expect(backend.winogradTile(try layer(64, 56)) == 2)
      #expect(backend.winogradTile(try layer(512, 7)) == 2)
      #expect(backend.winogradTile(try layer(64, 56) { $0.batch = 8 }) == 2)
      #expect(backend.winogradTile(try layer(64, 56, mode: .bf16)) == (hasBF16 ? nil : 2))
      #expect(backend.winogradTile(try layer(64, 56, mode: .any)) == (hasBF16 ? nil : 4))
      #expect(backend.winogradTile(try layer(512, 7, mode: .any)) == (hasBF16 ? nil : 2))
      #expect(backend.winogradTile(try layer(64, 56, mode: .tf32)) == 2)
      #expect(backend.winogradTile(try layer(64, 56, groups: 4)) == 2)
      #expect(backend.winogradTile(try layer(64, 56, groups: 16)) == nil)
      #expect(backend.winogradTile(try layer(64, 56, groups: 64)) == nil)
      #expect(backend.winogradTile(try layer(8, 64)) == 2)
      #expect(backend.winogradTile(try layer(8, 64) { $0.outChannels = 64 }) == nil)
      #expect(backend.winogradTile(try layer(512, 3)) == nil)
      #expect(backend.winogradTile(try layer(8, 14)) == nil)
      let ones = SpatialExtents(d: 1, h: 1, w: 1)
      let twos = SpatialExtents(d: 1, h: 2, w: 2)
      #expect(backend.winogradTile(try layer(64, 56) { $0.stride = twos }) == nil)
      #expect(backend.winogradTile(try layer(64, 56) { $0.dilation = twos }) == nil)
      #expect(backend.winogradTile(try layer(64, 56) { $0.kernel = ones }) == nil)
    }
  }

  @Test("under FP32 Winograd's error stays within four times the direct algorithm's")
  func winogradIsAboutAsExact() throws {
    let memory = try GEMMCase.Memory()
    for (index, zeros) in [0, 50, 90, 95].enumerated() {
      var random = RandomSource(seed: UInt64(15) << 32 | UInt64(index))
      var problem = try layer(32, 10)
      let counts = (problem.inChannels * problem.input.count, problem.outChannels * 32 * 9)
      let src = memory.lhs.elements(counts.0, filledWith: Float.nan)
      for i in 0..<counts.0 { src[i] = random.chance(zeros) ? 0 : abs(random.float()) }
      let weights = memory.rhs.elements(counts.1, filledWith: Float.nan)
      for i in 0..<counts.1 { weights[i] = random.float() }
      problem.src = UnsafePointer(src)
      problem.weights = UnsafePointer(weights)
      problem.dst = memory.dst.elements(counts.0, filledWith: Float.nan)
      let expected = ReferenceBackend(roundsToBF16: false).convolution(problem)
      func error(_ problem: ConvolutionProblem, _ backend: NativeBackend) throws -> Double {
        _ = try backend.convolve(problem, pool: .shared)
        var squares = 0.0
        for i in 0..<counts.0 {
          squares += (Double(problem.dst[i]) - expected[i]) * (Double(problem.dst[i]) - expected[i])
        }
        return squares.squareRoot()
      }
      for kernels in testedKernels {
        let backend = NativeBackend(kernels: kernels)
        let direct = try error(problem, backend)
        var fast = problem
        fast.prepared = .init(
          .winograd(try backend.winogradWeights(problem, m: 2, pool: .shared)))
        let winograd = try error(fast, backend)
        #expect(winograd <= 4 * direct, "\(kernels.name), \(zeros)% zeros")
      }
    }
  }
}

extension ConvolutionWeights {
  /// The m of Winograd's F(m x m, 3 x 3).
  fileprivate var winogradTile: Int? {
    if case .winograd(let weights) = form { weights.m } else { nil }
  }
}
