import MartletCore
import MartletOperators
import Testing

@testable import MartletGraph

@Suite struct GraphInferenceTests {
  @Test("what grows from node to node is followed no further than tensors and shapes go")
  func growth() throws {
    var graph = Graph(name: "growth")
    let axes = graph.addConstant("axes", try Tensor.int64s(Array(0..<20)))
    var deep = graph.addInput("x", .float32, [.known(1)])
    var long = graph.addInput("shape", .int64, [.known(2)])
    for _ in 0..<40 {
      deep = graph.node("Unsqueeze", [deep, axes])
      long = graph.node("Concat", [long, long], ["axis": .int(0)])
    }
    graph.output(deep)
    graph.output(long)
    try graph.inferTypes()
    for value in graph.values {
      #expect(value.type.rank ?? 0 <= Shape.maximumRank, "\(value.name)")
      #expect(value.type.elements?.count ?? 0 <= Inference.elementLimit, "\(value.name)")
    }
    #expect(graph.values[deep].type.rank == nil)
    #expect(graph.values[long].type.shape == [.known(1 << 41)])
  }

  @Test("a rank that a list of 2^40 numbers asks for is not known before the run, which refuses it")
  func hugeRanks() throws {
    for (name, inputs) in [("Reshape", 2), ("Expand", 2), ("ConstantOfShape", 1)] {
      var graph = Graph(name: name)
      let x = graph.addInput("x", .float32, [.known(1)])
      let shape = graph.addInput("shape", .int64, [.known(1 << 40)])
      let y = graph.node(name, inputs == 2 ? [x, shape] : [shape])
      graph.output(y)
      try graph.inferTypes()
      #expect(graph.values[y].type.shape == nil, "\(name)")
      let executor = Executor(try Plan(graph))
      let list = try Tensor.int64(1).broadcast(to: [1 << 40])
      let error = martletError {
        let _: [Value] = try executor.run([.tensor(try Tensor.floats([1], [1])), .tensor(list)])
      }
      #expect(error?.operatorName == name && error?.node != nil, "\(name)")
    }
  }
}
