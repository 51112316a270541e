import MartletCore
import Testing

@testable import MartletOperators

private let ensemble = "ai.onnx.ml.TreeEnsemble"

@Suite struct TreeEnsemble5Tests {
  /// ONNX's own case of one tree: 1.2 < x0 <= 3.14 and so on.
  private func attributes(_ dtype: DType) throws -> [String: AttributeValue] {
    [
      "n_targets": .int(2), "aggregate_function": .int(1), "post_transform": .int(0),
      "tree_roots": .ints([0]), "nodes_modes": .tensor(try tensor([0, 0, 0], [3], .uint8)),
      "nodes_featureids": .ints([0, 0, 0]),
      "nodes_splits": .tensor(try tensor([3.14, 1.2, 4.2], [3], dtype)),
      "nodes_truenodeids": .ints([1, 0, 1]), "nodes_trueleafs": .ints([0, 1, 1]),
      "nodes_falsenodeids": .ints([2, 2, 3]), "nodes_falseleafs": .ints([0, 1, 1]),
      "leaf_targetids": .ints([0, 1, 0, 1]),
      "leaf_weights": .tensor(try tensor([5.23, 12.12, -12.23, 7.21], [4], dtype)),
    ]
  }

  @Test("ONNX's tree", arguments: [DType.float16, .float32, .float64])
  func single(_ dtype: DType) throws {
    let x = try tensor([1.2, 3.4, -0.12, 1.66, 4.14, 1.77], [3, 2], dtype)
    let result = try run(ensemble, [x], attributes(dtype))[0]
    #expect(result.dtype == dtype && result.shape == [3, 2])
    #expect(agree(result.values, [5.23, 0, 5.23, 0, 0, 12.12], 1e-3))
  }

  @Test("sets of members, of any size and with repetitions") func members() throws {
    // Three nodes: x in {1.2, 3.7, 8, 9}, else x in {5}, else x in {} .
    let none = Double.nan
    let attributes: [String: AttributeValue] = [
      "n_targets": .int(1), "tree_roots": .ints([0]),
      "nodes_modes": .tensor(try tensor([6, 6, 6], [3], .uint8)),
      "nodes_featureids": .ints([0, 0, 0]), "nodes_splits": .tensor(try tensor([0, 0, 0])),
      "membership_values": .tensor(try tensor([9, 3.5, 1.25, 9, 8, none, 5, none, none])),
      "nodes_missing_value_tracks_true": .ints([0, 1, 0]),
      "nodes_truenodeids": .ints([0, 1, 2]), "nodes_trueleafs": .ints([1, 1, 1]),
      "nodes_falsenodeids": .ints([1, 2, 3]), "nodes_falseleafs": .ints([0, 0, 1]),
      "leaf_targetids": .ints([0, 0, 0, 0]),
      "leaf_weights": .tensor(try tensor([1, 10, 100, 1000])),
    ]
    let x: [Double] = [1.25, 3.5, 8, 9, 5, 4, 1, 10, Double.infinity, -Double.infinity, none]
    let expected: [Double] = [1, 1, 1, 1, 10, 1000, 1000, 1000, 1000, 1000, 10]
    #expect(try values(ensemble, [tensor(x, [11, 1])], attributes) == expected)
    let many = (0..<2000).map { Double($0 * 3) }
    let large = attributes.merging(
      ["membership_values": .tensor(try tensor(many + [none, 1, none, none]))]
    ) { $1 }
    let tested = (0..<400).map { Double($0 * 17) }
    let wanted = tested.map { (value: Double) -> Double in
      if Int(value) % 3 == 0 && value < 6000 { return 1 }
      return value == 1 ? 10 : 1000
    }
    #expect(try values(ensemble, [tensor(tested, [400, 1], .float64)], large) == wanted)
    let error = #expect(throws: MartletError.self) {
      try run(
        ensemble, [tensor([1], [1, 1])],
        attributes.merging(["membership_values": .tensor(try tensor([1, none, 2]))]) { $1 })
    }
    #expect(error?.message.contains("ends before the set of node 1") == true)
  }

  @Test(
    "what is no forest is named",
    arguments: [
      ("nodes_truenodeids", AttributeValue.ints([0, 0, 1]), "reached twice"),
      ("nodes_truenodeids", .ints([3, 0, 1]), "to node 3"),
      ("nodes_falsenodeids", .ints([2, 4, 3]), "to leaf 4"),
      ("nodes_falsenodeids", .ints([-1, 2, 3]), "to node -1"),
      ("nodes_trueleafs", .ints([0]), "has 1 elements"), ("tree_roots", .ints([3]), "has 3"),
      ("tree_roots", .ints([0, 1]), "reached twice"), ("n_targets", .int(1), "is 1 at leaf 1"),
      ("post_transform", .int(5), "is 5"), ("aggregate_function", .int(-1), "is -1"),
      ("leaf_targetids", .ints([0, 1]), "has 4 elements"),
      ("nodes_featureids", .ints([0, 0]), "elements"),
    ] as [(String, AttributeValue, String)])
  func faults(_ name: String, _ value: AttributeValue, _ text: String) throws {
    let x = try tensor([1.2, 3.4], [1, 2])
    let error = #expect(throws: MartletError.self) {
      try run(ensemble, [x], attributes(.float32).merging([name: value]) { $1 })
    }
    #expect(error?.code == .invalidArgument)
    #expect(error?.message.contains(text) == true, "\(error?.message ?? "")")
  }

  @Test("a root may be there twice, and votes twice") func repeated() throws {
    let x = try tensor([1.2, 3.4], [1, 2])
    let twice = try attributes(.float32).merging(["tree_roots": .ints([0, 0])]) { $1 }
    #expect(agree(try values(ensemble, [x], twice), [10.46, 0], 1e-6))
  }
}
