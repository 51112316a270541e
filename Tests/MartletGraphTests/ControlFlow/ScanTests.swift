import MartletCore
import MartletOperators
import Testing

@testable import MartletGraph

@Suite struct ScanTests {
  @Test("a scan takes slices and stacks them, along any axis and in both directions")
  func scans() throws {
    var graph = Graph()
    let state = graph.addInput("state", .float32, [.known(2)])
    let x = graph.addInput("x", .float32, [.known(2), .known(3)])
    let body = Graph.region("body", formals: 2) { inner, values in
      let sum = inner.node("Add", [values[0], values[1]])
      return [sum, sum]
    }
    let outputs = graph.addNode(
      "Scan", name: "scan", inputs: [state, x], outputs: ["last", "all"],
      attributes: [
        "num_scan_inputs": .int(1), "scan_input_axes": .ints([1]),
        "scan_input_directions": .ints([1]), "scan_output_axes": .ints([-1]),
        "scan_output_directions": .ints([1]),
      ], regions: [body])
    for output in outputs { graph.output(output) }
    try graph.inferTypes()
    #expect(graph.values[outputs[1]].type.text == "float32[2, 3]")
    let results = try graph.run([
      try Tensor.floats([2], [10, 20]), try Tensor.floats([2, 3], [1, 2, 3, 4, 5, 6]),
    ])
    #expect(results[0].floats == [16, 35])
    #expect(results[1].floats == [16, 15, 13, 35, 31, 26])
  }

  @Test("a scan whose state passes through untouched now and then runs in every run")
  func dataDependentScan() throws {
    var graph = Graph()
    let x = graph.addInput("x", .float32, [.known(1)])
    let start = graph.node("Relu", [x])
    let steps = graph.addConstant("steps", try Tensor.floats([3], [0, 0, 0]))
    let body = try Graph.region("body", formals: 2) { inner, values in
      let large = inner.node(
        "Greater", [values[0], inner.addConstant("t", try .floats([1], [10]))])
      let keep = Graph.region("then_branch", captures: [values[0]]) { [$1[0]] }
      let grow = Graph.region("else_branch", captures: [values[0]]) { deep, captured in
        [deep.node("Add", [captured[0], captured[0]])]
      }
      return [
        inner.addNode(
          "If", name: "if", inputs: [large], outputs: ["next"], regions: [grow, keep])[0]
      ]
    }
    let last = graph.addNode(
      "Scan", name: "scan", inputs: [start, steps], outputs: ["last"],
      attributes: ["num_scan_inputs": .int(1)], regions: [body])[0]
    graph.output(graph.node("Neg", [last]))
    try graph.inferTypes()
    let executor = Executor(try Plan(graph))
    for (value, expected) in [(20, -20), (20, -20), (1, -8), (3, -12), (20, -20)]
      as [(Float, Float)]
    {
      #expect(try executor.run([try Tensor.floats([1], [value])])[0].floats == [expected])
    }
  }

  @Test("a scan of no steps gives outputs of no steps along their axes") func emptyScan() throws {
    var graph = Graph()
    let x = graph.addInput("x", .float32, [.symbol("n"), .known(3)])
    let body = Graph.region("body", formals: 1) { [$0.node("Neg", [$1[0]])] }
    graph.output(
      graph.addNode(
        "Scan", name: "scan", inputs: [x], outputs: ["y"],
        attributes: ["num_scan_inputs": .int(1), "scan_output_axes": .ints([1])],
        regions: [body])[0])
    try graph.inferTypes()
    #expect(try graph.run([try Tensor.floats([0, 3], [0])])[0].shape == [3, 0])
  }
}
