import MartletCore
import Testing

@testable import MartletBackends

/// One random integer product, its operands at guard pages.
private final class IntegerCase {
  let seed: UInt64
  var problem: IntegerProblem
  private var random: RandomSource
  private let memory: Memory
  private var kept: [[Int32]] = []

  final class Memory {
    let lhs: GuardedBuffer
    let rhs: GuardedBuffer
    let dst: GuardedBuffer
    let small: [GuardedBuffer]

    init() throws {
      lhs = try GuardedBuffer(capacity: 1 << 20)
      rhs = try GuardedBuffer(capacity: 1 << 20)
      dst = try GuardedBuffer(capacity: 1 << 20)
      small = try (0..<8).map { _ in try GuardedBuffer(capacity: 1 << 16) }
    }
  }

  init(seed: UInt64, memory: Memory, largest: Int = 60) {
    self.seed = seed
    self.memory = memory
    var random = RandomSource(seed: seed)
    func extent() -> Int {
      random.chance(5)
        ? 0 : random.chance(30) ? random.int(1...9) : random.int(1...largest)
    }
    let (m, n, k) = (extent(), extent(), random.chance(10) ? random.int(1...700) : extent())
    let extreme = random.chance(25)
    func matrix(_ buffer: GuardedBuffer, _ rows: Int, _ columns: Int) -> MatrixView {
      let gap = random.int(0...3)
      let isTransposed = random.chance(30)
      let isSpread = random.chance(10)
      let inner = isSpread ? 2 : 1
      let (a, b) = isTransposed ? (columns, rows) : (rows, columns)
      let stride = b * inner + gap
      let count = rows == 0 || columns == 0 ? 0 : (a - 1) * stride + (b - 1) * inner + 1
      let bytes = buffer.elements(count, filledWith: UInt8(0))
      for index in 0..<count {
        bytes[index] =
          extreme
          ? random.pick([0, 0x7f, 0x80, 0xff]) : UInt8(truncatingIfNeeded: random.next())
      }
      return MatrixView(
        UnsafeMutableRawPointer(bytes), random.chance(50) ? .int8 : .uint8,
        rowStride: isTransposed ? inner : stride, columnStride: isTransposed ? stride : inner)
    }
    let lhs = matrix(memory.lhs, m, k)
    let rhs = matrix(memory.rhs, k, n)
    let dstStride = n + random.int(0...3)
    let words = memory.dst.elements(m == 0 ? 0 : (m - 1) * dstStride + n, filledWith: Int32(0))
    problem = IntegerProblem(
      m: m, n: n, k: k, lhs: lhs, rhs: rhs,
      dst: MatrixView(UnsafeMutableRawPointer(words), .int32, rowStride: dstStride))
    func zeros(_ buffer: GuardedBuffer, _ count: Int, _ dtype: DType) -> ZeroPoints {
      func value() -> Int32 {
        dtype == .int8 ? Int32(random.int(-128...127)) : Int32(random.int(0...255))
      }
      switch random.int(0...3) {
      case 0: return .one(0)
      case 1: return .one(value())
      default:
        let values = buffer.elements(count, filledWith: Int32(0))
        for index in 0..<count { values[index] = value() }
        return .each(values)
      }
    }
    problem.lhsZero = zeros(memory.small[0], m, lhs.dtype)
    problem.rhsZero = zeros(memory.small[1], n, rhs.dtype)
    func biases(_ buffer: GuardedBuffer, _ count: Int) -> UnsafePointer<Int32>? {
      guard random.chance(30) else { return nil }
      let values = buffer.elements(count, filledWith: Int32(0))
      for index in 0..<count { values[index] = Int32(truncatingIfNeeded: random.next()) }
      return UnsafePointer(values)
    }
    problem.epilogue.rowBias = biases(memory.small[2], m)
    problem.epilogue.columnBias = biases(memory.small[3], n)
    func scales(_ buffer: GuardedBuffer, _ count: Int) -> UnsafePointer<Float>? {
      guard random.chance(40) else { return nil }
      let values = buffer.elements(count, filledWith: Float.nan)
      for index in 0..<count { values[index] = 1 + random.float() / 2 }
      return UnsafePointer(values)
    }
    problem.epilogue.scale = 1 / Float(random.pick([1, 64, 300, 4096, 1 << 20]))
    problem.epilogue.rowScale = scales(memory.small[4], m)
    problem.epilogue.columnScale = scales(memory.small[5], n)
    problem.epilogue.rowAddend = scales(memory.small[6], m)
    problem.epilogue.columnAddend = scales(memory.small[7], n)
    let type: DType = random.pick([.int32, .int32, .float32, .uint8, .int8])
    problem.dst.dtype = type
    if type == .uint8 || type == .int8 {
      // As many bytes as there were words: dst ends at the guard page all the same.
      let bytes = memory.dst.elements(
        m == 0 ? 0 : (m - 1) * dstStride + n, filledWith: UInt8(0))
      problem.dst.pointer = UnsafeMutableRawPointer(bytes)
      problem.epilogue.zero = Int32(type == .uint8 ? random.int(0...255) : random.int(-128...127))
    }
    self.random = random
  }

  /// What dst must hold, bit by bit.
  func expected() -> [UInt32] {
    let sums = ReferenceBackend().sums(problem)
    let e = problem.epilogue
    return sums.indices.map { index in
      let (i, j) = index.quotientAndRemainder(dividingBy: problem.n)
      let v = sums[index] &+ (e.rowBias?[i] ?? 0) &+ (e.columnBias?[j] ?? 0)
      if problem.dst.dtype == .int32 { return UInt32(bitPattern: v) }
      var scale = e.scale
      if let rowScale = e.rowScale { scale *= rowScale[i] }
      if let columnScale = e.columnScale { scale *= columnScale[j] }
      var f = Float(v) * scale
      if problem.dst.dtype == .float32 {
        if let addend = e.rowAddend { f += addend[i] }
        if let addend = e.columnAddend { f += addend[j] }
        return f.bitPattern
      }
      let (low, high): (Float, Float) = problem.dst.dtype == .uint8 ? (0, 255) : (-128, 127)
      let q = min(max(f.rounded(.toNearestOrEven) + Float(e.zero), low), high)
      return UInt32(UInt8(truncatingIfNeeded: Int32(q)))
    }
  }

  func actual(_ run: (IntegerProblem) throws -> Void) throws -> [UInt32] {
    try run(problem)
    var result: [UInt32] = []
    for i in 0..<problem.m {
      for j in 0..<problem.n {
        let index = i * problem.dst.rowStride + j
        result.append(
          problem.dst.dtype.wholeByteCount == 1
            ? UInt32(problem.dst.pointer.assumingMemoryBound(to: UInt8.self)[index])
            : problem.dst.pointer.assumingMemoryBound(to: UInt32.self)[index])
      }
    }
    return result
  }
}

private func testedIntegerKernels() -> [KernelSet] {
  ISASelection.current.found.compactMap { ISASelection.kernels(cappedAt: $0) }
    .filter { set in !set.integers.isEmpty }
}

@Suite(.serialized) struct IntegerProductTests {
  @Test("random products equal the oracle to the bit, whatever the kernels and threads")
  func equalsReference() throws {
    let memory = try IntegerCase.Memory()
    let pool = ThreadPool.shared
    defer { try? pool.setThreadCount(0) }
    var cases = 0
    for index in 0..<5000 {
      let seed = UInt64(7) << 32 | UInt64(index)
      let example = IntegerCase(seed: seed, memory: memory)
      let expected = example.expected()
      try pool.setThreadCount(index % 3 + 1)
      let reference = try example.actual { _ = try ReferenceBackend().multiply([$0], pool: pool) }
      #expect(reference == expected, "seed \(seed), the reference")
      for kernels in testedIntegerKernels() {
        let backend = NativeBackend(kernels: kernels)
        let plain = try example.actual { _ = try backend.multiply([$0], pool: pool) }
        #expect(plain == expected, "seed \(seed), \(kernels.name)")
        let packed = try backend.packIntegers(
          example.problem.rhs, k: example.problem.k, n: example.problem.n, pool: pool)
        let reused = try example.actual { problem in
          var problem = problem
          problem.packedRHS = packed
          _ = try backend.multiply([problem], pool: pool)
        }
        #expect(reused == expected, "seed \(seed), \(kernels.name), packed")
        cases += 2
        if plain != expected || reused != expected { return }
      }
    }
    print("integer products compared:", cases)
  }

  @Test("large products, cut into many blocks of every extent, equal the oracle")
  func largeProducts() throws {
    let pool = ThreadPool.shared
    defer { try? pool.setThreadCount(0) }
    var random = RandomSource(seed: 11)
    for (m, n, k) in [(311, 70, 2500), (7, 900, 4100), (150, 530, 90), (700, 40, 1100)] {
      let lhs = try Tensor(uninitialized: .uint8, [m, k])
      let rhs = try Tensor(uninitialized: .int8, [k, n])
      for tensor in [lhs, rhs] {
        let bytes = tensor.typed(UInt8.self)
        for index in 0..<tensor.count { bytes[index] = UInt8(truncatingIfNeeded: random.next()) }
      }
      for type in [DType.int32, .uint8] {
        let dst = try Tensor(uninitialized: type, [m, n])
        var problem = IntegerProblem(
          m: m, n: n, k: k, lhs: MatrixView(lhs.pointer, .uint8, rowStride: k),
          rhs: MatrixView(rhs.pointer, .int8, rowStride: n),
          dst: MatrixView(dst.pointer, type, rowStride: n))
        problem.lhsZero = .one(131)
        problem.rhsZero = .one(-3)
        problem.epilogue.scale = 1 / 4096
        problem.epilogue.zero = 128
        let sums = ReferenceBackend().sums(problem)
        for kernels in testedIntegerKernels() {
          let backend = NativeBackend(kernels: kernels)
          for threads in 1...2 {
            try pool.setThreadCount(threads)
            for isPacked in [false, true] {
              problem.packedRHS =
                isPacked ? try backend.packIntegers(problem.rhs, k: k, n: n, pool: pool) : nil
              _ = try backend.multiply([problem], pool: pool)
              let isEqual = sums.indices.allSatisfy { index in
                if type == .int32 { return dst.typed(Int32.self)[index] == sums[index] }
                let q = (Float(sums[index]) / 4096).rounded(.toNearestOrEven) + 128
                return Float(dst.typed(UInt8.self)[index]) == min(max(q, 0), 255)
              }
              #expect(isEqual, "\(m)x\(n)x\(k) \(type) \(kernels.name) \(threads) \(isPacked)")
            }
          }
        }
        problem.packedRHS = nil
      }
    }
  }

  @Test("random convolutions equal the oracle to the bit") func convolutions() throws {
    let pool = ThreadPool.shared
    defer { try? pool.setThreadCount(0) }
    for index in 0..<1500 {
      var random = RandomSource(seed: UInt64(9) << 32 | UInt64(index))
      try pool.setThreadCount(index % 2 + 1)
      let groups = random.pick([1, 1, 2, 3])
      let batch = random.int(1...2)
      let inChannels = groups * random.int(1...5)
      let outChannels = groups * random.int(1...9)
      func extents(_ range: ClosedRange<Int>) -> SpatialExtents {
        SpatialExtents(
          d: random.chance(20) ? random.int(range) : 1, h: random.int(range),
          w: random.int(range))
      }
      let kernel = random.chance(20) ? SpatialExtents(d: 1, h: 1, w: 1) : extents(1...3)
      let stride = random.chance(50) ? SpatialExtents(d: 1, h: 1, w: 1) : extents(1...3)
      let dilation = random.chance(60) ? SpatialExtents(d: 1, h: 1, w: 1) : extents(1...2)
      let padding = SpatialExtents(
        d: 0, h: random.int(0...2), w: random.int(0...2))
      func reach(_ taps: Int, _ gap: Int) -> Int { (taps - 1) * gap + 1 }
      let input = SpatialExtents(
        d: reach(kernel.d, dilation.d) + random.int(0...2),
        h: reach(kernel.h, dilation.h) + random.int(0...7),
        w: reach(kernel.w, dilation.w) + random.int(0...20))
      let output = SpatialExtents(
        d: (input.d - reach(kernel.d, dilation.d)) / stride.d + 1,
        h: (input.h + 2 * padding.h - reach(kernel.h, dilation.h)) / stride.h + 1,
        w: (input.w + 2 * padding.w - reach(kernel.w, dilation.w)) / stride.w + 1)
      func bytes(_ count: Int) throws -> Tensor {
        let tensor = try Tensor(uninitialized: random.chance(50) ? .int8 : .uint8, [count])
        for index in 0..<count {
          tensor.typed(UInt8.self)[index] = UInt8(truncatingIfNeeded: random.next())
        }
        return tensor
      }
      let src = try bytes(batch * inChannels * input.count)
      let weights = try bytes(outChannels * inChannels / groups * kernel.count)
      let dst = try Tensor(uninitialized: .int32, [batch * outChannels * output.count])
      var problem = IntegerConvolution(
        ConvolutionGeometry(
          batch: batch, groups: groups, inChannels: inChannels, outChannels: outChannels,
          input: input, kernel: kernel, output: output),
        src: src, weights: weights, dst: dst)
      problem.stride = stride
      problem.dilation = dilation
      problem.padding = padding
      problem.srcZero =
        src.dtype == .int8 ? Int32(random.int(-128...127)) : Int32(random.int(0...255))
      let zeros = (0..<outChannels).map { _ in Int32(random.int(0...100)) }
      let hasZeros = random.chance(50)
      zeros.withUnsafeBufferPointer { buffer in
        if hasZeros, let base = buffer.baseAddress { problem.weightZero = .each(base) }
        let expected = ReferenceBackend().sums(problem)
        for kernels in testedIntegerKernels() {
          let isDone = (try? NativeBackend(kernels: kernels).convolve(problem, pool: pool)) != nil
          let isEqual = expected.indices.allSatisfy { dst.typed(Int32.self)[$0] == expected[$0] }
          #expect(isDone && isEqual, "case \(index), \(kernels.name)")
        }
        for index in 0..<dst.count { dst.typed(Int32.self)[index] = 99 }
        let isDone = (try? ReferenceBackend().convolve(problem, pool: pool)) != nil
        let isEqual = expected.indices.allSatisfy { dst.typed(Int32.self)[$0] == expected[$0] }
        #expect(isDone && isEqual, "case \(index), the reference")
      }
    }
  }

  @Test("what cannot run is refused") func refusals() throws {
    let a = try Tensor(uninitialized: .int8, [2, 3])
    let b = try Tensor(uninitialized: .int16, [3, 2])
    let c = try Tensor(uninitialized: .int32, [2, 2])
    let wrong = IntegerProblem(
      m: 2, n: 2, k: 3, lhs: MatrixView(a.pointer, .int8, rowStride: 3),
      rhs: MatrixView(b.pointer, .int16, rowStride: 2),
      dst: MatrixView(c.pointer, .int32, rowStride: 2))
    #expect { try Backends.multiply([wrong]) } throws: { error in
      (error as? MartletError)?.code == .invalidDType
    }
    #expect(throws: MartletError.self) {
      try Backends.packIntegers(MatrixView(b.pointer, .int16, rowStride: 2), k: 3, n: 2)
    }
    #expect(throws: MartletError.self) {
      try Backends.packIntegers(
        MatrixView(a.pointer, .int8, rowStride: 0, columnStride: 0), k: 1 << 40, n: 1 << 40)
    }
  }
}
