import MartletCore

@testable import MartletBackends

/// One random product with its operands in guarded memory, drawn from a seed.
final class GEMMCase {
  let seed: UInt64
  var problem: GEMMProblem
  let matrices: Int
  private let dstCount: Int
  private let memory: Memory
  private var dstStart: UnsafeMutableRawPointer
  private let residualIsDst: Bool
  private var residualBits: [UInt32] = []

  /// Buffers that the cases of one test use one after another.
  final class Memory {
    let lhs: GuardedBuffer
    let rhs: GuardedBuffer
    let dst: GuardedBuffer
    let residual: GuardedBuffer
    let bias: GuardedBuffer

    init(capacity: Int = 8 << 20) throws {
      lhs = try GuardedBuffer(capacity: capacity)
      rhs = try GuardedBuffer(capacity: capacity)
      dst = try GuardedBuffer(capacity: capacity)
      residual = try GuardedBuffer(capacity: capacity)
      bias = try GuardedBuffer(capacity: 1 << 20)
    }
  }

  struct Options {
    var activations: [UnaryFunction?] = [
      nil, nil, .relu, .clamp(-0.25, 0.5), .gelu, .geluTanh, .silu, .tanh, .sigmoid,
      .hardSwish, .leakyRelu(slope: 0.1), .hardSigmoid(alpha: 0.2, beta: 0.5), .elu(alpha: 0.5),
    ]
    var dtypes: [DType] = [.float32, .float32, .float32, .bfloat16]
    var largest = 40
    var mode: MathMode = .bf16
  }

  init(seed: UInt64, memory: Memory, options: Options) {
    self.seed = seed
    self.memory = memory
    var random = RandomSource(seed: seed)
    let sizes = [0, 1, 1, 2, 3, 4, 5, 6, 7, 8, 13, 15, 16, 17, 31, 32, 33]
    func size(_ random: inout RandomSource) -> Int {
      random.chance(50) ? random.pick(sizes) : random.int(1...options.largest)
    }
    let (m, n) = (size(&random), size(&random))
    let k = random.chance(4) ? random.int(250...1100) : size(&random)
    let dtype = random.pick(options.dtypes)
    let dstType: DType = dtype == .bfloat16 && random.chance(50) ? .bfloat16 : .float32

    var counts: [Int] = []
    if random.chance(30) {
      for _ in 0..<random.int(1...2) { counts.append(random.pick([0, 1, 2, 3])) }
      if counts.contains(0), random.chance(80) { counts = counts.map { max($0, 1) } }
    }
    matrices = counts.reduce(1, *)
    let lhs = Layout(rows: m, columns: k, batch: counts, random: &random)
    let rhs = Layout(rows: k, columns: n, batch: counts, random: &random)
    let dst = Layout(rows: m, columns: n, batch: counts, isDestination: true, random: &random)
    dstCount = dst.count
    func fill(_ buffer: GuardedBuffer, _ layout: Layout, _ dtype: DType) -> MatrixView {
      let pointer: UnsafeMutableRawPointer
      if dtype == .float32 {
        let values = buffer.elements(layout.count, filledWith: Float.nan)
        for index in layout.used { values[index] = random.float() }
        pointer = UnsafeMutableRawPointer(values)
      } else {
        let values = buffer.elements(layout.count, filledWith: UInt16(0x7fff))
        for index in layout.used { values[index] = BFloat16.bits(random.float()) }
        pointer = UnsafeMutableRawPointer(values)
      }
      return MatrixView(
        pointer + layout.origin * dtype.wholeByteCount, dtype, rowStride: layout.rowStride,
        columnStride: layout.columnStride)
    }
    let lhsView = fill(memory.lhs, lhs, dtype)
    let rhsView = fill(memory.rhs, rhs, dtype)
    if dstType == .float32 {
      dstStart = UnsafeMutableRawPointer(memory.dst.elements(dst.count, filledWith: Float.nan))
    } else {
      dstStart = UnsafeMutableRawPointer(memory.dst.elements(dst.count, filledWith: UInt16(0x7fff)))
    }
    problem = GEMMProblem(
      m: m, n: n, k: k, lhs: lhsView, rhs: rhsView,
      dst: MatrixView(
        dstStart + dst.origin * dstType.wholeByteCount, dstType, rowStride: dst.rowStride),
      mode: options.mode)
    for axis in counts.indices {
      problem.batch.append(
        BatchAxis(
          count: counts[axis], lhsStride: lhs.batchStrides[axis],
          rhsStride: rhs.batchStrides[axis], dstStride: dst.batchStrides[axis]))
    }

    // The epilogue.
    let biases = memory.bias.elements(m + n, filledWith: Float.nan)
    for index in 0..<m + n { biases[index] = random.float() }
    if random.chance(30) { problem.epilogue.columnBias = UnsafePointer(biases) }
    if random.chance(20) { problem.epilogue.rowBias = UnsafePointer(biases + n) }
    if random.chance(20) { problem.epilogue.alpha = random.float() * 2 }
    problem.epilogue.activation = random.pick(options.activations)
    var aliases = false
    if random.chance(30) {
      problem.epilogue.beta = random.chance(50) ? 1 : random.float()
      if dstType == .float32, random.chance(40) {
        aliases = true
        problem.epilogue.residual = problem.dst
        for axis in problem.batch.indices {
          problem.batch[axis].residualStride = problem.batch[axis].dstStride
        }
        let values = dstStart.assumingMemoryBound(to: Float.self)
        for index in dst.used { values[index] = random.float() }
        residualBits = (0..<dst.count).map { values[$0].bitPattern }
      } else {
        let layout = Layout(rows: m, columns: n, batch: counts, random: &random)
        problem.epilogue.residual = fill(memory.residual, layout, .float32)
        for axis in problem.batch.indices {
          problem.batch[axis].residualStride = layout.batchStrides[axis]
        }
      }
    }
    residualIsDst = aliases
  }

  /// What was wrong, or nil.
  func failure(_ backend: NativeBackend, _ pool: ThreadPool) throws -> String? {
    // The oracle and the sum of magnitudes, before dst is written.
    let expected = reference(magnitudes: false, backend)
    let magnitude = reference(magnitudes: true, backend)
    let execution = try backend.run(problem, pool: pool)
    let roundsTo16 = problem.dst.dtype == .bfloat16
    var written = Set<Int>()
    for (position, index) in dstIndices().enumerated() {
      written.insert(index)
      let actual =
        roundsTo16
        ? Double(BFloat16.value(dstStart.assumingMemoryBound(to: UInt16.self)[index]))
        : Double(dstStart.assumingMemoryBound(to: Float.self)[index])
      let bound = Tolerance.product(
        k: problem.k, magnitude: magnitude[position], terms: 3,
        activation: problem.epilogue.activation, result: expected[position],
        roundsTo16: roundsTo16)
      guard abs(actual - expected[position]) <= bound else {
        return
          "seed \(seed): \(execution.kernel) element \(position) is \(actual), expected \(expected[position]) within \(bound); m \(problem.m) n \(problem.n) k \(problem.k) \(problem.lhs) \(problem.rhs) batch \(problem.batch) \(problem.epilogue)"
      }
    }
    for index in 0..<dstCount where !written.contains(index) {
      let isUntouched =
        roundsTo16
        ? dstStart.assumingMemoryBound(to: UInt16.self)[index] == 0x7fff
        : dstStart.assumingMemoryBound(to: Float.self)[index].bitPattern == Float.nan.bitPattern
      if !isUntouched { return "seed \(seed): wrote outside dst at \(index)" }
    }
    return nil
  }

  /// dst's bits after a run, in order of matrices, rows and columns; dst is restored first where it
  /// is also the residual.
  func bits(_ run: (GEMMProblem) throws -> Void) throws -> [UInt32] {
    for (index, bits) in residualBits.enumerated() {
      dstStart.assumingMemoryBound(to: UInt32.self)[index] = bits
    }
    try run(problem)
    let isBF16 = problem.dst.dtype == .bfloat16
    return dstIndices().map { index in
      isBF16
        ? UInt32(dstStart.assumingMemoryBound(to: UInt16.self)[index])
        : dstStart.assumingMemoryBound(to: UInt32.self)[index]
    }
  }

  private func reference(magnitudes: Bool, _ backend: NativeBackend) -> [Double] {
    var exact = problem
    let count = matrices * problem.m * problem.n
    let values = UnsafeMutablePointer<Double>.allocate(capacity: max(count, 1))
    defer { values.deallocate() }
    values.update(repeating: 0, count: max(count, 1))
    exact.dst = MatrixView(values, .float64, rowStride: problem.n)
    var step = problem.m * problem.n
    for axis in exact.batch.indices.reversed() {
      exact.batch[axis].dstStride = step
      step *= exact.batch[axis].count
    }
    if magnitudes { exact.epilogue = Epilogue() }
    let rounds = backend.kernels.precision(for: problem.mode).usesBF16
    ReferenceBackend(roundsToBF16: rounds, sumsMagnitudes: magnitudes)
      .compute(exact)
    return (0..<count).map { values[$0] }
  }

  private func dstIndices() -> [Int] {
    var starts = [(problem.dst.pointer - dstStart) / problem.dst.dtype.wholeByteCount]
    for axis in problem.batch {
      starts = starts.flatMap { start in (0..<axis.count).map { start + $0 * axis.dstStride } }
    }
    return starts.flatMap { start in
      (0..<problem.m).flatMap { i in
        (0..<problem.n).map { start + i * problem.dst.rowStride + $0 }
      }
    }
  }
}

/// Where a batch of matrices lies in a buffer: any strides, in elements.
struct Layout {
  let rowStride: Int
  let columnStride: Int
  let batchStrides: [Int]
  /// Index of element (0, 0) of the first matrix.
  let origin: Int
  /// Elements of the buffer.
  let count: Int
  let used: [Int]

  init(
    rows: Int, columns: Int, batch: [Int], isDestination: Bool = false,
    random: inout RandomSource
  ) {
    var strides: [Int]
    let pad = random.pick([0, 0, 0, 1, 3])
    switch isDestination ? 0 : random.int(0...7) {
    case 0, 1, 2: strides = [columns + pad, 1]
    case 3, 4: strides = [1, rows + pad]
    case 5: strides = [2 * columns + pad, 2]
    case 6: strides = [random.chance(50) ? 0 : columns, random.chance(50) ? 0 : 1]
    default: strides = [-(columns + pad), random.chance(50) ? -1 : 1]
    }
    let matrix = max(rows * (columns + pad), columns * (rows + pad), 2 * rows * columns) + pad
    var batchStrides: [Int] = []
    var step = random.chance(60) && isDestination ? rows * (columns + pad) : matrix * 2
    for extent in batch.reversed() {
      batchStrides.insert(!isDestination && random.chance(40) ? 0 : step, at: 0)
      step *= extent
    }
    if isDestination, random.chance(20) { strides[0] = -strides[0] }
    rowStride = strides[0]
    columnStride = strides[1]
    self.batchStrides = batchStrides

    var indices = [0]
    for (extent, stride) in zip(batch + [rows, columns], batchStrides + strides) {
      indices = indices.flatMap { start in (0..<extent).map { start + $0 * stride } }
    }
    let low = indices.min() ?? 0
    let high = indices.max() ?? 0
    origin = -low
    count = max(high - low + 1, 1)
    used = indices.map { $0 - low }
  }
}
