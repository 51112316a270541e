import MartletCore
import MartletGraph
import ONNXFixtures
import Testing

@testable import MartletImport

/// Fused and quantised products of com.microsoft, against values worked out by hand.
@Suite struct ProductFormsTests {
  @Test("FusedMatMul swaps axes and batches as it is told")
  func matMul() throws {
    let a = try numbers([1, 2, 3, 4, 5, 6, 7, 8], [2, 2, 2])
    let b = try numbers([1, 0, 0, 1], [2, 2])
    func y(_ attributes: [NodeCase.Attribute]) throws -> [Double] {
      try NodeCase("FusedMatMul", [a, b], attributes).run()[0].doubles
    }
    #expect(try y([("alpha", .float(2))]) == [2, 4, 6, 8, 10, 12, 14, 16])
    #expect(try y([("transA", .int(1))]) == [1, 3, 2, 4, 5, 7, 6, 8])
    #expect(try y([("transBatchA", .int(1))]) == [1, 2, 5, 6, 3, 4, 7, 8])
    #expect(try y([("transBatchA", .int(1)), ("transA", .int(1))]) == [1, 5, 2, 6, 3, 7, 4, 8])
    let vector = NodeCase("FusedMatMul", [try numbers([1, 2]), b], [("transA", .int(1))])
    #expect(try vector.run()[0].doubles == [1, 2])
    #expect(NodeCase("FusedMatMul", [a, b], [("gamma", .int(1))]).error?.input == "gamma")
  }

  @Test("FusedConv adds Z before its activation, and becomes one node")
  func conv() throws {
    let x = try numbers([1, -2], [1, 1, 2])
    let w = try numbers([2], [1, 1, 1])
    let z = try numbers([-3, 5], [1, 1, 2])
    let relu = NodeCase(
      "FusedConv", [x, w, nil, z], [("activation", .string("Relu"))], constants: [1])
    #expect(try relu.run()[0].doubles == [0, 1])
    #expect(try relu.load().graph.nodes.count == 1)
    let clip = NodeCase(
      "FusedConv", [x, w, nil, z],
      [("activation", .string("Clip")), ("activation_params", .floats([-0.5, 0.5]))])
    #expect(try clip.run()[0].doubles == [-0.5, 0.5])
    let selu = NodeCase("FusedConv", [x, w], [("activation", .string("Selu"))])
    #expect(selu.error?.code == .unsupported && selu.error?.input == "activation")
  }

  @Test("FusedGemm takes its activation's parameters, and the older name of one")
  func gemm() throws {
    let (a, b) = (try numbers([1, 2], [1, 2]), try numbers([-1, 1], [2, 1]))
    func y(_ name: String, _ more: [NodeCase.Attribute] = []) throws -> Double {
      let node = NodeCase(
        "FusedGemm", [a, b, try numbers([-3])], [("activation", .string(name))] + more)
      return try node.run()[0].doubles[0]
    }
    #expect(try y("Relu") == 0)
    #expect(try y("LeakyRelu", [("activation_alpha", .float(0.5))]) == -1)
    #expect(try y("LeakyRelu", [("leaky_relu_alpha", .float(0.25))]) == -0.5)
    #expect(try y("Softsign", [("beta", .float(0))]) == 0.5)
    #expect(martletError { _ = try y("Clip") }?.code == .unsupported)
  }

  @Test("QGemm adds C to the integers' sums")
  func quantizedGemm() throws {
    let a = try numbers([1, 2], [1, 2], .uint8)
    let b = try numbers([3, 5], [2, 1], .int8)
    let scales = (try scalar(0.5), try scalar(2))
    let zeros = (try scalar(1, .uint8), try scalar(1, .int8))
    let c = try numbers([6], nil, .int32)
    // (0, 1) @ (2, 4) + 6 = 10, times alpha * 0.5 * 2.
    var node = NodeCase(
      "QGemm", [a, scales.0, zeros.0, b, scales.1, zeros.1, c], [("alpha", .float(3))])
    #expect(try node.run()[0].doubles == [30])
    node.inputs += [try scalar(4), try scalar(7, .uint8)]
    // 7.5 rounds to the even 8.
    #expect(try node.run()[0].doubles == [15] && node.run()[0].dtype == .uint8)
    node.inputs[8] = nil
    node.inputs[6] = nil
    // 4 * 3 / 4 without C.
    #expect(try node.run()[0].doubles == [3])
    node.constants = [1, 2, 3, 4, 5, 7]
    #expect(try node.run()[0].doubles == [3])
  }

  @Test("products of integers become one node, with zero points of 0 where there are none")
  func integers() throws {
    let a = try numbers([1, 2, 3, 4, 5, 6, 7, 8], [1, 8], .uint8)
    let b = try numbers([1, 1, 1, 1, 1, 1, 1, -1], [8, 1], .int8)
    let node = NodeCase(
      "MatMulIntegerToFloat", [a, b, try scalar(0.5), try scalar(2)], constants: [1])
    #expect(try node.run()[0].doubles == [20])
    let (floats, scale) = (try numbers([0, 255], [1, 2]), try scalar(2))
    let dynamic = NodeCase(
      "DynamicQuantizeMatMul",
      [floats, try numbers([1, 1], [2, 1], .int8), scale, nil, try numbers([1])])
    #expect(try dynamic.run()[0].doubles == [511])
  }

  @Test("of more terms than one node takes, sums in int32 are scaled")
  func manyTerms() throws {
    let count = (1 << 15) + 8
    let ones = [Double](repeating: 1, count: count)
    let node = NodeCase(
      "MatMulIntegerToFloat",
      [
        try numbers(ones, [1, count], .uint8), try numbers(ones, [count, 1], .int8),
        try scalar(0.5), try scalar(1),
      ])
    #expect(try node.run()[0].doubles == [Double(count) / 2])
  }
}
