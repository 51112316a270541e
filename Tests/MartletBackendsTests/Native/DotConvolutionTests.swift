import Glibc
import MartletCore
import Testing

@testable import MartletBackends

/// One random convolution of a shape that `DotConvolution` takes, drawn from a seed; operands end at
/// guard pages, and what is not written is NaN.
private final class DotCase {
  let seed: UInt64
  private(set) var problem: ConvolutionProblem
  let dstCount: Int
  private let first: [Float]

  /// Drawn once: drawing each case's own would take most of the test's time.
  private static let values: [Float] = {
    var random = RandomSource(seed: 19)
    return (0..<300_000).map { _ in random.float() }
  }()

  init(seed: UInt64, memory: GEMMCase.Memory) {
    self.seed = seed
    var random = RandomSource(seed: seed)
    let isGrouped = random.chance(40)
    let groups = isGrouped ? random.int(2...11) : random.pick([1, 1, 1, 2, 3])
    let groupIn: Int
    let groupOut: Int
    if isGrouped {
      groupIn = random.pick([2, 4, 8, 16])
      groupOut = random.pick([2, 4, 8, 16, 32].filter { groupIn * max(1, 16 / $0) <= 16 })
    } else {
      groupIn = 2 * random.int(8...(groups > 1 ? 20 : 50))
      groupOut = random.int(32...(groups > 1 ? 70 : 140))
    }
    let batch = random.pick([1, 1, 1, 2, 3])
    let isLine = random.chance(15)
    let isPointwise = !isGrouped && random.chance(20)
    var input: [Int] = []
    var kernel: [Int] = []
    var steps: [Int] = []
    var dilation: [Int] = []
    var padding: [Int] = []
    var output: [Int] = []
    for axis in 0..<2 {
      let isOne = isLine && axis == 0
      let taps = isPointwise || isOne ? 1 : random.pick([1, 2, 3, 3, 3, 5])
      let gap = random.pick([1, 1, 1, 2, 3])
      let step = isOne ? 1 : random.pick([1, 1, 2, 2, 3])
      let before = isOne || random.chance(isPointwise ? 80 : 20) ? 0 : random.int(0...4)
      let after = isOne ? 0 : random.int(0...4)
      let reach = (taps - 1) * gap + 1
      let extent = max(isOne ? 1 : random.int(1...(isLine ? 60 : 12)), reach - before - after, 1)
      input.append(extent)
      kernel.append(taps)
      dilation.append(gap)
      steps.append(step)
      padding.append(before)
      output.append((extent + before + after - reach) / step + 1)
    }
    if input[0] * input[1] == 1 { input[1] = 2 }  // else it is a gate, or the product of a row
    let inExtents = SpatialExtents(input, fill: 1)
    let kernelExtents = SpatialExtents(kernel, fill: 1)
    let outExtents = SpatialExtents(output, fill: 1)
    let outChannels = groups * groupOut
    func filled(_ buffer: GuardedBuffer, _ count: Int) -> UnsafeMutablePointer<Float> {
      let values = buffer.elements(count, filledWith: Float.nan)
      let from = random.int(0...1 << 16)
      for start in stride(from: 0, to: count, by: DotCase.values.count - from) {
        let part = min(count - start, DotCase.values.count - from)
        DotCase.values.withUnsafeBufferPointer {
          if let base = $0.baseAddress { (values + start).update(from: base + from, count: part) }
        }
      }
      return values
    }
    let src = filled(memory.lhs, batch * groups * groupIn * inExtents.count)
    let weights = filled(memory.rhs, outChannels * groupIn * kernelExtents.count)
    dstCount = batch * outChannels * outExtents.count
    let dst = memory.dst.elements(dstCount, filledWith: Float.nan)
    problem = ConvolutionProblem(
      ConvolutionGeometry(
        batch: batch, groups: groups, inChannels: groups * groupIn, outChannels: outChannels,
        input: inExtents, kernel: kernelExtents, output: outExtents),
      src: src, weights: weights,
      dst: dst, mode: .bf16)
    problem.stride = SpatialExtents(steps, fill: 1)
    problem.dilation = SpatialExtents(dilation, fill: 1)
    problem.padding = SpatialExtents(padding, fill: 0)
    if random.chance(60) { problem.bias = UnsafePointer(filled(memory.bias, outChannels)) }
    problem.activation = random.pick(GEMMCase.Options().activations)
    var first = [Float](repeating: .nan, count: dstCount)
    if random.chance(30) {
      if random.chance(40) {
        for index in 0..<dstCount { first[index] = random.float() }
        problem.residual = UnsafePointer(dst)
      } else {
        problem.residual = UnsafePointer(filled(memory.residual, dstCount))
      }
    }
    self.first = first
  }

  var description: String { "seed \(seed): \(problem)" }

  /// What `run` leaves in dst, as bytes: arrays of elements would take most of a debug build's time.
  func bits(_ run: (ConvolutionProblem) throws -> Void) rethrows -> Bits {
    first.withUnsafeBufferPointer {
      if let base = $0.baseAddress { problem.dst.update(from: base, count: dstCount) }
    }
    try run(problem)
    return Bits(values: Array(UnsafeBufferPointer(start: problem.dst, count: dstCount)))
  }

  struct Bits: Equatable {
    let values: [Float]

    static func == (lhs: Bits, rhs: Bits) -> Bool {
      lhs.values.withUnsafeBytes { left in
        rhs.values.withUnsafeBytes { right in
          guard left.count == right.count, let a = left.baseAddress, let b = right.baseAddress
          else { return left.count == right.count }
          return memcmp(a, b, left.count) == 0
        }
      }
    }
  }

  /// The first element whose error against float64 exceeds its bound, after a run.
  func failure() -> String? {
    // Where the residual was dst it is gone.
    if problem.residual == UnsafePointer(problem.dst) { return nil }
    let expected = ReferenceBackend(roundsToBF16: true).convolution(problem)
    let magnitude = ReferenceBackend(roundsToBF16: true, sumsMagnitudes: true).convolution(problem)
    for index in 0..<dstCount {
      let bound = Tolerance.product(
        k: problem.groupDepth, magnitude: magnitude[index], terms: 2,
        activation: problem.activation, result: expected[index], roundsTo16: false)
      if !(abs(Double(problem.dst[index]) - expected[index]) <= bound) {
        return "\(description): element \(index) is \(problem.dst[index]), not \(expected[index])"
      }
    }
    return nil
  }
}

@Suite(.serialized) struct DotConvolutionTests {
  @Test("bits are the product's, on 1, 2 and 3 threads, image by image and with cut windows")
  func bitsAreTheProducts() throws {
    guard let kernels = wideKernels else { return }
    let backend = NativeBackend(kernels: kernels)
    let memory = try GEMMCase.Memory()
    let pool = ThreadPool.shared
    defer { try? pool.setThreadCount(0) }
    var compared = 0
    var grouped = 0
    for index in 0..<6500 {
      let example = DotCase(seed: UInt64(19) << 32 | UInt64(index), memory: memory)
      guard backend.directWeightsType(example.problem) == .bfloat16 else { continue }
      compared += 1
      try pool.setThreadCount(1)
      var product = ""
      let expected = try example.bits {
        product = try backend.convolve($0, pool: pool).kernel
      }
      #expect(product.hasPrefix("gemm"), "the product form is what this is held against")
      let weights = try backend.directWeights(example.problem, pool: pool)
      // Windows as they are, and so small that they are cut down and across.
      for (threads, windowBytes) in [(1, 768 << 10), (2, 768 << 10), (3, 3000), (1, 20000)] {
        try pool.setThreadCount(threads)
        let bits = try example.bits {
          guard
            let dot = DotConvolution(
              $0, weights, kernels, threads: threads, windowBytes: windowBytes)
          else { return }
          let execution = try dot.run(on: pool)
          #expect(execution.precision == "bf16" && !execution.kernel.hasPrefix("gemm"))
          grouped += windowBytes == 3000 && execution.kernel.hasPrefix("grouped") ? 1 : 0
        }
        #expect(
          bits == expected,
          "\(threads) threads, windows of \(windowBytes) bytes, \(example.description)")
        if bits != expected { return }
        if windowBytes == 20000, index % 80 == 0, let failure = example.failure() {
          Issue.record("\(failure)")
          return
        }
      }
      let single = try example.bits { whole in
        for image in 0..<whole.batch {
          var one = whole
          one.batch = 1
          one.src += image * whole.inChannels * whole.input.count
          let offset = image * whole.outChannels * whole.output.count
          one.dst += offset
          one.residual = whole.residual.map { $0 + offset }
          one.prepared = .init(.direct(weights))
          _ = try backend.convolve(one, pool: pool)
        }
      }
      #expect(single == expected, "image by image, \(example.description)")
      if single != expected { return }
    }
    #expect(compared >= 5000 && grouped >= 1500, "too few cases run this way")
  }

  @Test("a kernel that reaches far beyond the image reads the image alone")
  func reachIsNotHeld() throws {
    guard let kernels = wideKernels else { return }
    let backend = NativeBackend(kernels: kernels)
    let memory = try GEMMCase.Memory()
    let extents = SpatialExtents(d: 1, h: 4, w: 4)
    let src = memory.lhs.elements(16 * 16, filledWith: Float(1))
    let weights = memory.rhs.elements(32 * 16 * 9, filledWith: Float(2))
    let dst = memory.dst.elements(32 * 16, filledWith: Float.nan)
    var problem = ConvolutionProblem(
      ConvolutionGeometry(
        batch: 1, groups: 1, inChannels: 16, outChannels: 32, input: extents,
        kernel: SpatialExtents(d: 1, h: 3, w: 3), output: extents),
      src: src, weights: weights,
      dst: dst, mode: .bf16)
    problem.dilation = SpatialExtents(d: 1, h: 1500, w: 1500)
    problem.padding = SpatialExtents(d: 0, h: 1500, w: 1500)
    problem.prepared = .init(.direct(try backend.directWeights(problem, pool: .shared)))
    #expect(problem.prepared?.directType == .bfloat16)
    let geometry = try #require(DotConvolution.Geometry(problem, kernels))
    let window = geometry.windowExtents(rows: 4, columns: 4)
    #expect(window.rows == 4 && window.columns == 4)
    _ = try backend.convolve(problem, pool: .shared)
    // Of nine taps one is inside.
    #expect((0..<32 * 16).allSatisfy { dst[$0] == 32 })
  }

  @Test("a weight that is not finite harms the pixels whose tap is inside, however work is divided")
  func tapsOutsideAreLeftOut() throws {
    guard let kernels = wideKernels else { return }
    let backend = NativeBackend(kernels: kernels)
    let memory = try GEMMCase.Memory()
    let pool = ThreadPool.shared
    defer { try? pool.setThreadCount(0) }
    // 21 taps down: more kinds of border than a kernel keeps at a time.
    let extents = SpatialExtents(d: 1, h: 30, w: 8)
    let src = memory.lhs.elements(16 * 240, filledWith: Float(1))
    let weights = memory.rhs.elements(32 * 16 * 21, filledWith: Float(2))
    for filter in 0..<32 * 16 { weights[filter * 21] = .infinity }
    let dst = memory.dst.elements(32 * 240, filledWith: Float.nan)
    var problem = ConvolutionProblem(
      ConvolutionGeometry(
        batch: 1, groups: 1, inChannels: 16, outChannels: 32, input: extents,
        kernel: SpatialExtents(d: 1, h: 21, w: 1), output: extents),
      src: src, weights: weights,
      dst: dst, mode: .bf16)
    problem.padding = SpatialExtents(d: 0, h: 10, w: 0)
    let packed = try backend.directWeights(problem, pool: pool)
    for (threads, windowBytes) in [(1, 768 << 10), (2, 768 << 10), (3, 3000), (1, 3000)] {
      try pool.setThreadCount(threads)
      dst.update(repeating: .nan, count: 32 * 240)
      let dot = DotConvolution(
        problem, packed, kernels, threads: threads, windowBytes: windowBytes)
      _ = try #require(dot).run(on: pool)
      for pixel in 0..<240 {
        let row = pixel / 8
        let taps = min(row + 10, 29) - max(row - 10, 0) + 1
        #expect(dst[pixel] == (row >= 10 ? .infinity : Float(32 * taps)), "row \(row)")
      }
    }
  }

  @Test("a window that cannot be had is outOfMemory")
  func windowsMayNotFit() throws {
    guard let kernels = wideKernels else { return }
    let backend = NativeBackend(kernels: kernels)
    let width = 1 << 22
    let image = try GuardedBuffer(capacity: 16 * width * 4)
    let memory = try GEMMCase.Memory()
    let reach = SpatialExtents(d: 1, h: 1, w: 1 << 20)
    var problem = ConvolutionProblem(
      ConvolutionGeometry(
        batch: 1, groups: 1, inChannels: 16, outChannels: 32,
        input: SpatialExtents(d: 1, h: 1, w: width), kernel: SpatialExtents(d: 1, h: 1, w: 3),
        output: SpatialExtents(d: 1, h: 1, w: 16)),
      src: image.elements(16, filledWith: Float(0)) - 16 * (width - 1),
      weights: memory.rhs.elements(32 * 16 * 3, filledWith: Float(1)),
      dst: memory.dst.elements(32 * 16, filledWith: Float.nan), mode: .bf16)
    problem.dilation = reach
    problem.prepared = .init(.direct(try backend.directWeights(problem, pool: .shared)))
    #expect(problem.prepared?.directType == .bfloat16)
    // The window holds 64 MiB, the process may have 16 more.
    var limit = rlimit()
    #expect(getrlimit(__rlimit_resource_t(RLIMIT_AS.rawValue), &limit) == 0)
    let pages =
      String(decoding: try fileBytes("/proc/self/statm"), as: UTF8.self)
      .split(separator: " ").first.flatMap { UInt($0) } ?? 0
    var tight = limit
    tight.rlim_cur = rlim_t(pages) * rlim_t(getpagesize()) + 16 << 20
    #expect(setrlimit(__rlimit_resource_t(RLIMIT_AS.rawValue), &tight) == 0)
    let outcome = Result { try backend.convolve(problem, pool: .shared) }
    #expect(setrlimit(__rlimit_resource_t(RLIMIT_AS.rawValue), &limit) == 0)
    #expect {
      _ = try outcome.get()
    } throws: {
      ($0 as? MartletError)?.code == .outOfMemory
    }
    _ = try backend.convolve(problem, pool: .shared)
    #expect(problem.dst[0] == 0)
  }

  private func fileBytes(_ path: String) throws -> [UInt8] {
    guard let file = fopen(path, "r") else { throw GuardedBuffer.OutOfMemory() }
    defer { fclose(file) }
    var bytes = [UInt8](repeating: 0, count: 256)
    let count = fread(&bytes, 1, bytes.count, file)
    return Array(bytes[..<count])
  }
}

extension ConvolutionWeights {
  /// What weights are multiplied as that are packed for convolution without an im2col matrix.
  fileprivate var directType: DType? {
    if case .direct(let weights) = form { weights.dtype } else { nil }
  }
}
