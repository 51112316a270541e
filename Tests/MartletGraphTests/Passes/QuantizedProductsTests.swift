import MartletCore
import MartletOperators
import Testing

@testable import MartletGraph

@Suite struct QuantizedProductsTests {
  private func bytes(_ shape: [Int], _ dtype: DType, step: Int) throws -> Tensor {
    let tensor = try Tensor(uninitialized: dtype, shape)
    let values = tensor.typed(UInt8.self)
    for index in 0..<tensor.count { values[index] = UInt8(truncatingIfNeeded: index &* step) }
    return tensor
  }

  /// DequantizeLinear(x) @ DequantizeLinear(weight [k, n]) with the options that exporters use.
  private func written(
    _ type: DType, weightType: DType = .int8, hasZeros: Bool = true, byColumn: Bool = true,
    axis: Int = 1, k: Int = 37, n: Int = 21
  ) throws -> Graph {
    var graph = Graph()
    let x = graph.addInput("x", type, [.symbol("n"), .symbol("l"), .known(k)])
    let scale = try graph.weight("x_scale", [], [0.013])
    let zero = hasZeros ? graph.addConstant("x_zero", try bytes([], type, step: 0)) : nil
    if let zero { graph.values[zero].constant?.typed(UInt8.self)[0] = 119 }
    let weight = graph.addConstant("weight", try bytes([k, n], weightType, step: 151))
    let entries = byColumn ? [axis == 1 ? n : k] : []
    let scales = try graph.weight(
      "weight_scale", entries, (0..<7).map { 0.002 + Float($0) / 3000 })
    let zeros =
      hasZeros ? graph.addConstant("weight_zero", try bytes(entries, weightType, step: 3)) : nil
    graph.output(
      graph.node(
        "MatMul",
        [
          graph.node("DequantizeLinear", [x, scale, zero]),
          graph.node("DequantizeLinear", [weight, scales, zeros], ["axis": .int(axis)]),
        ]))
    return graph
  }

  @Test(
    "products of dequantised matrices are summed as integers", arguments: [DType.uint8, .int8],
    [DType.uint8, .int8])
  func recognized(type: DType, weightType: DType) throws {
    for (hasZeros, byColumn) in [(true, true), (false, true), (true, false), (false, false)] {
      let graph = try written(type, weightType: weightType, hasZeros: hasZeros, byColumn: byColumn)
      let after = try graph.after(QuantizedProducts.pass)
      #expect(after.operatorNames == ["ai.martlet.DequantizedMatMul"])
      let x = try bytes([2, 5, 37], type, step: 89)
      try graph.expectSame(as: after, [x], tolerance: 4e-6)
      // Exact but for two roundings.
      let result = try after.run([x])[0]
      #expect(result.shape == [2, 5, 21])
      let sum = (0..<37).reduce(0.0) { sum, p in
        func signed(_ byte: UInt8, _ type: DType) -> Double {
          type == .int8 ? Double(Int8(bitPattern: byte)) : Double(byte)
        }
        let zero = hasZeros ? signed(119, type) : 0
        // Element (0, 0): the weight's column 0, whose zero point is 0.
        let a = signed(UInt8(truncatingIfNeeded: p &* 89), type) - zero
        let b = signed(UInt8(truncatingIfNeeded: p &* 21 &* 151), weightType)
        return sum + a * b
      }
      let exact = sum * Double(Float(0.013)) * Double(Float(0.002))
      #expect(abs(Double(result.floats[0]) - exact) <= abs(exact) * 0x1p-22)
    }
  }

  @Test("what is not such a product stays") func otherwise() throws {
    func stays(_ graph: Graph, _ comment: Comment) throws {
      let after = try graph.after(QuantizedProducts.pass)
      #expect(after.operatorNames.contains("MatMul"), comment)
      #expect(!after.operatorNames.contains("ai.martlet.DequantizedMatMul"), comment)
    }
    try stays(try written(.uint8, axis: 0), "scales by row of the weight")
    try stays(try written(.uint8, k: 7), "few terms")
    try stays(try written(.uint8, k: 40_000, n: 1), "sums that might overflow")
    var graph = try written(.uint8)
    graph.values[1].type = ValueType(dtype: .float32, shape: [])
    graph.values[1].type.constant = nil
    graph.inputs.append(1)
    try stays(graph, "a scale that is computed")
  }

  @Test("the weights are not dequantised before") func order() throws {
    var graph = try written(.uint8)
    _ = try PassTable.optimize(&graph, level: 1)
    #expect(graph.operatorNames == ["ai.martlet.DequantizedMatMul"])
  }
}
