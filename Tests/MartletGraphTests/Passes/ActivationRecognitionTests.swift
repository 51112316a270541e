import MartletCore
import MartletOperators
import Testing

@testable import MartletGraph

@Suite struct ActivationRecognitionTests {
  private func recognized(
    _ expected: [String], _ build: (inout Graph, ValueID) throws -> ValueID,
    sourceLocation: SourceLocation = #_sourceLocation
  ) throws {
    var graph = Graph()
    let x = graph.addInput("x", .float32, [.symbol("n"), .known(5)])
    graph.output(try build(&graph, x))
    let after = try graph.after(ActivationRecognition.pass)
    #expect(after.operatorNames == expected, sourceLocation: sourceLocation)
    try graph.expectSame(as: after, [.noise([7, 5])], sourceLocation: sourceLocation)
  }

  @Test("each pattern of the table is its function", arguments: ActivationTable.all.map(\.name))
  func table(name: String) throws {
    let row = try #require(ActivationTable.all.first { $0.name == name })
    for pattern in row.patterns {
      try recognized([row.op.description]) { graph, x in
        var body = FunctionBody(OperatorSchema(name: "", inputs: ["x"]), [graph.values[x].type])
        body.outputs = [pattern.decompose("x", into: &body)]
        // Exporters write constants of the type that they need.
        var ids = ["x": x]
        for node in body.nodes {
          if node.op == "Constant", case .float(let value) = node.attributes["value_float"] {
            ids[node.output] = try graph.weight(node.output, [], [value])
          } else if node.op == "CastLike" {
            ids[node.output] = node.inputs[0].flatMap { ids[$0] }
          } else {
            let inputs = node.inputs.map { $0.flatMap { ids[$0] } }
            ids[node.output] = graph.node(node.op.description, inputs, node.attributes)
          }
        }
        return try #require(ids[body.outputs[0]])
      }
    }
  }

  @Test("GELU as exporters write it, in any order of factors")
  func gelu() throws {
    try recognized(["Gelu"]) { graph, x in
      let d = graph.node("Div", [x, try graph.weight("r", [], [1.4142135])])
      let e = graph.node("Erf", [d])
      let s = graph.node("Add", [e, try graph.weight("one", [], [1])])
      let p = graph.node("Mul", [x, s])
      return graph.node("Mul", [p, try graph.weight("half", [], [0.5])])
    }
    try recognized(["Gelu"]) { graph, x in
      let d = graph.node("Mul", [try graph.weight("r", [1], [0.70710677]), x])
      let s = graph.node("Add", [try graph.weight("one", [1], [1]), graph.node("Erf", [d])])
      let h = graph.node("Div", [x, try graph.weight("two", [], [2])])
      return graph.node("Mul", [s, h])
    }
  }

  @Test("GELU by tanh, with a power or products")
  func tanhGelu() throws {
    for usesPower in [true, false] {
      try recognized(["Gelu"]) { graph, x in
        let cube =
          usesPower
          ? graph.node("Pow", [x, try graph.weight("three", [], [3])])
          : graph.node("Mul", [graph.node("Mul", [x, x]), x])
        let term = graph.node("Mul", [cube, try graph.weight("c", [], [0.044715])])
        let sum = graph.node("Add", [x, term])
        let scaled = graph.node("Mul", [sum, try graph.weight("s", [], [0.7978846])])
        let one = try graph.weight("one", [], [1])
        let gate = graph.node("Add", [graph.node("Tanh", [scaled]), one])
        let half = graph.node("Mul", [x, try graph.weight("half", [], [0.5])])
        return graph.node("Mul", [half, gate])
      }
    }
  }

  @Test("SiLU and HardSwish")
  func gates() throws {
    try recognized(["ai.martlet.Silu"]) { graph, x in
      graph.node("Mul", [graph.node("Sigmoid", [x]), x])
    }
    try recognized(["HardSwish"]) { graph, x in
      let sum = graph.node("Add", [x, try graph.weight("three", [1], [3])])
      let (zero, six) = (try graph.weight("zero", [], [0]), try graph.weight("six", [], [6]))
      let clip = graph.node("Clip", [sum, zero, six])
      let product = graph.node("Mul", [x, clip])
      return graph.node("Div", [product, try graph.weight("d", [1], [6])])
    }
    try recognized(["HardSwish"]) { graph, x in
      let gate = graph.node(
        "HardSigmoid", [x], ["alpha": .float(1 / 6), "beta": .float(0.5)])
      return graph.node("Mul", [x, gate])
    }
  }

  @Test("near misses stay as they are")
  func nearMisses() throws {
    try recognized(["Div", "Erf", "Add", "Mul", "Mul"]) { graph, x in
      let d = graph.node("Div", [x, try graph.weight("r", [], [1.5])])
      let s = graph.node("Add", [graph.node("Erf", [d]), try graph.weight("one", [], [1])])
      let p = graph.node("Mul", [x, s])
      return graph.node("Mul", [p, try graph.weight("half", [], [0.5])])
    }
    try recognized(["Sigmoid", "Neg", "Mul"]) { graph, x in
      let s = graph.node("Sigmoid", [x])
      return graph.node("Mul", [graph.node("Neg", [x]), s])
    }
  }
}
