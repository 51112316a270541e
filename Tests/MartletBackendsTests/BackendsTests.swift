import Glibc
import MartletCore
import Testing

@testable import MartletBackends

/// A contiguous matrix of one element type that lives as long as the test.
private final class Matrix<Element> {
  let values: UnsafeMutablePointer<Element>
  let view: MatrixView
  let count: Int

  init(_ rows: Int, _ columns: Int, _ dtype: DType, _ element: (Int) -> Element) {
    count = rows * columns
    values = .allocate(capacity: max(count, 1))
    for index in 0..<count { (values + index).initialize(to: element(index)) }
    view = MatrixView(UnsafeMutableRawPointer(values), dtype, rowStride: columns)
  }

  deinit { values.deallocate() }
}

@Suite(.serialized) struct BackendsTests {
  private func multiply<Element: Numeric>(
    _: Element.Type, _ dtype: DType, m: Int = 70, n: Int = 65, k: Int = 80,
    _ make: @escaping (Int) -> Element
  ) throws -> Bool {
    let a = Matrix<Element>(m, k, dtype) { make($0 % 13) }
    let b = Matrix<Element>(k, n, dtype) { make($0 % 11) }
    let c = Matrix<Element>(m, n, dtype) { _ in make(0) }
    let problem = GEMMProblem(m: m, n: n, k: k, lhs: a.view, rhs: b.view, dst: c.view, mode: .bf16)
    _ = try Backends.run(problem)
    return (0..<m * n).allSatisfy { cell in
      var sum: Element = 0
      for p in 0..<k { sum += a.values[cell / n * k + p] * b.values[p * n + cell % n] }
      return sum == c.values[cell]
    }
  }

  @Test("multiplies float64 and integers exactly") func plainTypes() throws {
    #expect(try multiply(Double.self, .float64) { Double($0) / 4 })
    #expect(try multiply(Int32.self, .int32) { Int32($0) - 5 })
    #expect(try multiply(Int64.self, .int64) { Int64($0) - 5 })
    #expect(try multiply(UInt32.self, .uint32) { UInt32($0) })
    #expect(try multiply(UInt64.self, .uint64) { UInt64($0) })
    #expect(try multiply(Int16.self, .int16) { Int16($0) })
  }

  @Test(
    "float64 and integers of any extents, more rows and deeper than one strip",
    arguments: [(1, 1, 1), (3, 5, 0), (130, 9, 600), (257, 3, 513), (4, 130, 1100), (129, 33, 40)])
  func strips(m: Int, n: Int, k: Int) throws {
    #expect(try multiply(Double.self, .float64, m: m, n: n, k: k) { Double($0) / 4 })
    #expect(try multiply(Int32.self, .int32, m: m, n: n, k: k) { Int32($0) - 5 })
    #expect(try multiply(UInt16.self, .uint16, m: m, n: n, k: k) { UInt16($0 % 4) })
  }

  @Test("a float64 product has the same bits on any number of threads, turned or not")
  func float64Bits() throws {
    let (m, n, k) = (200, 70, 900)
    let a = Matrix<Double>(m, k, .float64) { sin(Double($0)) }
    let b = Matrix<Double>(k, n, .float64) { cos(Double($0)) }
    let turned = Matrix<Double>(n, k, .float64) { b.values[$0 % k * n + $0 / k] }
    var columns = turned.view
    (columns.rowStride, columns.columnStride) = (columns.columnStride, columns.rowStride)
    var results: [[UInt64]] = []
    for (rhs, threads) in [(b.view, 1), (b.view, 3), (columns, 2)] {
      let c = Matrix<Double>(m, n, .float64) { _ in 0 }
      let pool = try ThreadPool(threads: threads)
      let problem = GEMMProblem(
        m: m, n: n, k: k, lhs: a.view, rhs: rhs, dst: c.view, mode: .fp32)
      _ = try Backends.run(problem, pool: pool)
      results.append((0..<m * n).map { c.values[$0].bitPattern })
    }
    #expect(results[1] == results[0] && results[2] == results[0])
  }

  @Test("integers wrap around") func wrapping() throws {
    let a = Matrix<UInt8>(1, 2, .uint8) { _ in 255 }
    let c = Matrix<UInt8>(1, 1, .uint8) { _ in 0 }
    let b = Matrix<UInt8>(2, 1, .uint8) { _ in 3 }
    _ = try Backends.run(
      GEMMProblem(m: 1, n: 1, k: 2, lhs: a.view, rhs: b.view, dst: c.view, mode: .fp32))
    #expect(c.values[0] == UInt8(truncatingIfNeeded: 255 * 3 * 2))
  }

  @Test("float16 sums in float32 and rounds once") func half() throws {
    let a = Matrix<UInt16>(3, 40, .float16) { Float16(Double($0 % 7) / 8).bitPattern }
    let b = Matrix<UInt16>(40, 5, .float16) { Float16(Double($0 % 9) / 8 - 0.5).bitPattern }
    let c = Matrix<UInt16>(3, 5, .float16) { _ in 0 }
    let problem = GEMMProblem(
      m: 3, n: 5, k: 40, lhs: a.view, rhs: b.view, dst: c.view, mode: .bf16)
    let execution = try Backends.run(problem)
    #expect(execution.precision == "fp32" && !execution.reason.isEmpty)
    let actual = (0..<15).map { c.values[$0] }
    _ = try ReferenceBackend().run(problem, pool: .shared)
    #expect(actual == (0..<15).map { c.values[$0] })
  }

  @Test("refuses what no backend can run") func errors() throws {
    let a = Matrix<Float>(4, 4, .float32) { Float($0) }
    let d = Matrix<Double>(4, 4, .float64) { Double($0) }
    let c = Matrix<Float>(4, 4, .float32) { _ in 0 }
    let good = GEMMProblem(m: 4, n: 4, k: 4, lhs: a.view, rhs: a.view, dst: c.view, mode: .fp32)
    var mixed = good
    mixed.rhs = d.view
    #expect(throws: MartletError.self) { try Backends.run(mixed) }
    var narrow = good
    narrow.dst.columnStride = 2
    #expect(throws: MartletError.self) { try Backends.run(narrow) }
    var packed = good
    packed.packedRHS = try Backends.pack(a.view, k: 4, n: 3, mode: .fp32)
    #expect(throws: MartletError.self) { try Backends.run(packed) }
    #expect(throws: MartletError.self) { try Backends.pack(d.view, k: 4, n: 4, mode: .fp32) }
    #expect(throws: MartletError.self) { try Backends.use("abacus") }
    #expect(throws: MartletError.self) {
      try Backends.pack(a.view, k: Int.max / 2, n: Int.max / 2, mode: .fp32)
    }
  }

  @Test("other backends run what they support when asked for") func choice() throws {
    defer { try? Backends.use("native") }
    let a = Matrix<Float>(20, 30, .float32) { Float($0 % 7) }
    let b = Matrix<Float>(30, 10, .float32) { Float($0 % 5) }
    let c = Matrix<Float>(20, 10, .float32) { _ in 0 }
    let problem = GEMMProblem(
      m: 20, n: 10, k: 30, lhs: a.view, rhs: b.view, dst: c.view, mode: .fp32)
    #expect(try Backends.run(problem).backend == "native")
    let expected = (0..<200).map { c.values[$0] }
    try Backends.use("reference")
    #expect(try Backends.run(problem).backend == "reference")
    #expect(expected == (0..<200).map { c.values[$0] })
    do throws(MartletError) {
      try Backends.use("openblas")
    } catch {
      #expect(error.code == .unsupported && error.message.contains("libopenblas"))
      return
    }
    #expect(try Backends.run(problem).backend == "openblas")
    #expect(expected == (0..<200).map { c.values[$0] })
    var biased = problem
    biased.epilogue.beta = 0.5
    biased.epilogue.residual = a.view
    #expect(try Backends.run(biased).backend == "native")
  }

  @Test("a backend that is asked for gets every kind of problem that it provides")
  func kinds() throws {
    defer { try? Backends.use("native") }
    let ones = Matrix<Float>(8, 8, .float32) { Float($0 % 3) }
    let result = Matrix<Float>(8, 8, .float32) { _ in 0 }
    let bytes = Matrix<Int8>(8, 8, .int8) { Int8($0 % 5) }
    let sums = Matrix<Int32>(8, 8, .int32) { _ in 0 }
    let extents = SpatialExtents(d: 1, h: 4, w: 4)
    let point = SpatialExtents(d: 1, h: 1, w: 1)
    let convolution = ConvolutionProblem(
      ConvolutionGeometry(
        batch: 1, groups: 1, inChannels: 4, outChannels: 2, input: extents, kernel: point,
        output: extents),
      src: ones.values, weights: ones.values, dst: result.values, mode: .fp32)
    func heads(_ matrix: Matrix<Float>) -> HeadsView {
      HeadsView(matrix.values, batchStride: 0, headStride: 0, rowStride: 4)
    }
    let attention = AttentionProblem(
      batch: 1, queryHeads: 1, keyHeads: 1, queries: 4, keys: 4, width: 4, valueWidth: 4,
      query: heads(ones), key: heads(ones), value: heads(ones), dst: heads(result), scale: 1,
      mode: .fp32)
    let product = IntegerProblem(
      m: 8, n: 8, k: 8, lhs: bytes.view, rhs: bytes.view, dst: sums.view)
    var packed = product
    packed.packedRHS = try Backends.packIntegers(bytes.view, k: 8, n: 8)
    let image = try Tensor(uninitialized: .int8, [1, 4, 4, 4])
    image.typed(Int8.self).update(repeating: 2, count: image.count)
    let pixels = try Tensor(uninitialized: .int32, [1, 2, 4, 4])
    let integers = IntegerConvolution(
      ConvolutionGeometry(
        batch: 1, groups: 1, inChannels: 4, outChannels: 2, input: extents, kernel: point,
        output: extents),
      src: image, weights: image, dst: pixels)
    func zeros(_ shape: [Int]) throws -> Tensor {
      let tensor = try Tensor(uninitialized: .float32, shape)
      tensor.typed(Float.self).update(repeating: 0, count: tensor.count)
      return tensor
    }
    let layer = RecurrentProblem(
      cell: .simple, activations: [[.tanh]], gates: try zeros([2, 3, 4]),
      weights: [.init(matrix: try zeros([4, 4]), packed: nil)], hidden: try zeros([3, 4]),
      mode: .fp32)
    let workspace = Workspace(pool: .shared, memory: RunMemory())
    for (name, packedName) in [("reference", "native"), ("native", "native")] {
      try Backends.use(name)
      #expect(try Backends.convolve(convolution).backend == name)
      #expect(try Backends.bind(convolution, pool: .shared).run(on: .shared).backend == name)
      #expect(try Backends.form(of: convolution) == nil || name == "native")
      #expect(try Backends.attend(attention).backend == name)
      #expect(try Backends.multiply([product]).backend == name)
      let expected = (0..<64).map { sums.values[$0] }
      #expect(try Backends.multiply([product, packed]).backend == packedName)
      #expect(expected == (0..<64).map { sums.values[$0] })
      #expect(try Backends.convolve(integers).backend == name)
      #expect((0..<32).allSatisfy { pixels.typed(Int32.self)[$0] == 16 })
      #expect(try Backends.run(layer, workspace)?.backend == name)
    }
  }

  @Test("a packed rhs serves the modes that it was packed for") func packedModes() throws {
    let a = Matrix<Float>(5, 6, .float32) { Float($0) / 8 }
    let b = Matrix<Float>(6, 7, .float32) { Float($0) / 8 }
    let c = Matrix<Float>(5, 7, .float32) { _ in 0 }
    var problem = GEMMProblem(m: 5, n: 7, k: 6, lhs: a.view, rhs: b.view, dst: c.view, mode: .bf16)
    problem.packedRHS = try Backends.pack(b.view, k: 6, n: 7, mode: .fp32)
    let execution = try Backends.run(problem)
    #expect(execution.precision == "fp32" && !execution.reason.isEmpty)
    let packed = try Backends.pack(b.view, k: 6, n: 7, mode: .bf16)
    problem.packedRHS = packed
    if Backends.precision(for: .bf16).usesBF16 {
      #expect(packed.dtype == .bfloat16)
      #expect(try Backends.run(problem).precision == "bf16")
      problem.mode = .fp32
      let error = #expect(throws: MartletError.self) { try Backends.run(problem) }
      #expect(error?.code == .invalidState)
    } else {
      #expect(packed.dtype == .float32)
    }
  }
}
