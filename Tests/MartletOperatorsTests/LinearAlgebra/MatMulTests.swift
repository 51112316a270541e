import MartletBackends
import MartletCore
import Testing

@testable import MartletOperators

@Suite struct MatMulTests {
  @Test(
    "multiplies matrices, vectors and broadcast batches",
    arguments: [
      DType.float32, .float64, .float16, .bfloat16, .int32, .uint64,
    ])
  func shapes(dtype: DType) throws {
    let cases: [([Int], [Int], [Int])] = [
      ([2, 3], [3, 4], [2, 4]), ([3], [3], []), ([3], [3, 4], [4]), ([2, 3], [3], [2]),
      ([5, 1, 2, 3], [4, 3, 2], [5, 4, 2, 2]), ([2, 0], [0, 3], [2, 3]), ([3], [2, 3, 1], [2, 1]),
    ]
    for (a, b, expected) in cases {
      let lhs = try small(a, dtype)
      let rhs = try small(b, dtype)
      let result = try run("MatMul", [lhs, rhs])[0]
      #expect(result.shape == expected)
      #expect(result.dtype == dtype)
      #expect(result.values == product(lhs, rhs))
    }
  }

  @Test("reads transposed and strided operands in place") func strides() throws {
    let a = try iota([3, 2]).matrixTransposed
    let b = try iota([4, 3]).matrixTransposed
    #expect(try run("MatMul", [a, b])[0].values == product(a, b))
    let swapped = try run(
      "FusedMatMul", [iota([3, 2]), iota([4, 3])], ["trans_a": .int(1), "trans_b": .int(1)])
    #expect(swapped[0].values == product(a, b))
  }

  @Test(
    "adds bias and residual and applies an activation",
    arguments: [
      DType.float32, .float64,
    ])
  func fused(dtype: DType) throws {
    let result = try run(
      "FusedMatMul",
      [
        iota([2, 2], dtype), iota([2, 2], dtype), tensor([-10, 1], [2], dtype),
        tensor([1, -100], [2, 1], dtype),
      ], ["activation": .string("Relu"), "alpha": .float(2)])[0]
    // 2 * [[2, 3], [6, 11]] + [-10, 1] + [[1], [-100]]
    #expect(result.values == [0, 8, 0, 0])
  }

  @Test("a constant weight is packed and gives the bits of one that is not") func packed() throws {
    let weight = try wave([60, 33], step: 37)
    let input = try wave([7, 60], step: 29)
    let node = OperatorNode(
      attributes: Attributes(operatorName: "MatMul"), constants: [nil, weight], inputCount: 2,
      outputCount: 1)
    let packed = try MatMul(node)
    let whole = try run("MatMul", [input, weight])[0].values
    #expect(try packed.results([input, weight], makeContext())[0].values == whole)
    for row in 0..<7 {
      let one = input.sliced(axis: 0, start: row, count: 1, step: 1)
      let values = try packed.results([one, weight], makeContext())[0].values
      #expect(values == Array(whole[row * 33..<row * 33 + 33]))
    }
  }

  @Test("infers shapes with symbols") func inference() throws {
    func type(_ shape: [Dimension]) -> ValueType { ValueType(dtype: .float32, shape: shape) }
    let symbolic = try infer(
      "MatMul",
      [
        type([.symbol("B"), .known(1), .symbol("S"), .known(8)]),
        type([.known(3), .known(8), .known(5)]),
      ])
    #expect(symbolic[0].shape == [.symbol("B"), .known(3), .symbol("S"), .known(5)])
    #expect(throws: MartletError.self) {
      try infer("MatMul", [type([.known(2), .known(3)]), type([.known(4), .known(3)])])
    }
  }

  @Test("an empty result of huge extents is empty") func hugeExtents() throws {
    let x = try tensor([], [0, 1 << 31, 1 << 31])
    #expect(try run("FusedMatMul", [x, x, x])[0].shape == [0, 1 << 31, 1 << 31])
    #expect(try run("MatMul", [x, x])[0].count == 0)
  }

  @Test("names K where the operands do not fit") func mismatch() throws {
    let error = #expect(throws: MartletError.self) {
      try run("MatMul", [iota([2, 64]), iota([32, 2])])
    }
    #expect(error?.message.contains("lhs has K=64, rhs has K=32") == true)
    #expect(error?.code == .invalidShape)
    #expect(throws: MartletError.self) { try run("MatMul", [iota([]), iota([2])]) }
    #expect(throws: MartletError.self) {
      try run("MatMul", [iota([2, 2]), iota([2, 2], .float64)])
    }
  }

  @Test("Gemm broadcasts C and transposes") func gemm() throws {
    let a = try iota([3, 2])
    let b = try iota([4, 3])
    let plain = product(a.matrixTransposed, b.matrixTransposed)
    for shape in [[], [1], [4], [1, 4], [2, 1], [2, 4]] {
      let c = try iota(shape)
      let wide = try c.broadcast(to: [2, 4]).values
      let result = try run(
        "Gemm", [a, b, c],
        ["transA": .int(1), "transB": .int(1), "alpha": .float(0.5), "beta": .float(2)])[0]
      #expect(result.values == zip(plain, wide).map { $0 / 2 + $1 * 2 })
    }
    let integers = try run(
      "Gemm", [iota([2, 2], .int32), iota([2, 2], .int32), iota([2], .int32)])
    #expect(integers[0].values == [2, 4, 6, 12])
  }

  @Test("Linear multiplies by the transposed weight") func linear() throws {
    let x = try iota([2, 1, 3])
    let w = try iota([4, 3])
    let result = try run("Linear", [x, w, iota([4])])[0]
    #expect(result.shape == [2, 1, 4])
    let plain = product(try x.reshaped([2, 3]), w.matrixTransposed)
    #expect(result.values == plain.enumerated().map { $1 + Double($0 % 4) })
    #expect(throws: MartletError.self) { try run("Linear", [x, w, iota([3])]) }
  }

  /// Whole numbers small enough for every dtype to hold their products' sums.
  private func small(_ shape: [Int], _ dtype: DType) throws -> Tensor {
    let count = shape.reduce(1, *)
    return try tensor((0..<count).map { index in Double(index * 3 % 5) }, shape, dtype)
  }

  /// Fractions in -1..<1.
  private func wave(_ shape: [Int], step: Int) throws -> Tensor {
    let count = shape.reduce(1, *)
    let values = (0..<count).map { (index: Int) -> Double in
      Double(index * step % 101) / 50.5 - 1
    }
    return try tensor(values, shape)
  }

  /// NumPy's matmul of small integers, by its definition.
  private func product(_ a: Tensor, _ b: Tensor) -> [Double] {
    let lhsShape = a.rank == 1 ? [1] + a.shape : a.shape
    let rhsShape = b.rank == 1 ? b.shape + [1] : b.shape
    let batch =
      Shape.broadcast(Array(lhsShape.dropLast(2)), Array(rhsShape.dropLast(2))) ?? []
    let (m, k) = (lhsShape[lhsShape.count - 2], lhsShape[lhsShape.count - 1])
    let n = rhsShape[rhsShape.count - 1]
    func matrix(_ values: [Double], _ shape: [Int], _ index: Int) -> ArraySlice<Double> {
      var rest = index
      var offset = 0
      var step = 1
      for axis in 0..<batch.count {
        let back = batch.count - 1 - axis
        let position = rest % batch[back]
        rest /= batch[back]
        let own = shape.count - 3 - axis
        guard own >= 0 else { continue }
        if shape[own] != 1 { offset += position * step }
        step *= shape[own]
      }
      let size = shape[shape.count - 2] * shape[shape.count - 1]
      return values[offset * size..<(offset + 1) * size]
    }
    return (0..<batch.reduce(1, *)).flatMap { index in
      let x = Array(matrix(a.values, lhsShape, index))
      let y = Array(matrix(b.values, rhsShape, index))
      return (0..<m * n).map { cell in
        (0..<k).reduce(0.0) { $0 + x[cell / n * k + $1] * y[$1 * n + cell % n] }
      }
    }
  }
}
