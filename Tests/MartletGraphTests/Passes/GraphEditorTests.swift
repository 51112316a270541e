import MartletCore
import MartletOperators
import Testing

@testable import MartletGraph

@Suite struct GraphEditorTests {
  /// x -> Neg -> Abs -> Exp, with Sqrt beside Exp.
  private func chain() throws -> Graph {
    var graph = Graph()
    let x = graph.addInput("x", .float32, [.symbol("n"), .known(2)])
    let negative = graph.node("Neg", [x])
    let magnitude = graph.node("Abs", [negative])
    graph.output(graph.node("Exp", [magnitude]))
    graph.output(graph.node("Sqrt", [magnitude]))
    try graph.inferTypes()
    return graph
  }

  /// Whether the editor's index says of every value what the live nodes say.
  private func expectTrue(_ editor: GraphEditor) {
    let graph = editor.graph
    for id in graph.values.indices {
      var readers: [Int] = []
      var maker: Int?
      for (position, node) in graph.nodes.enumerated() where editor.isLive(position) {
        readers += node.reads.filter { $0 == id }.map { _ in position }
        if node.outputs.contains(id) { maker = position }
      }
      #expect(editor.index.readers(of: id).sorted() == readers)
      #expect(editor.index.position(of: id) == maker)
    }
  }

  @Test("readers and makers stay true; what loses its last reader goes") func replacing() throws {
    var graph = try chain()
    let x = graph.inputs[0]
    try GraphEditor.edit(&graph) { editor throws(MartletError) in
      expectTrue(editor)
      var node = editor.graph.nodes[2]
      node = node.becoming("Relu", inputs: [x])
      try editor.replace(2, with: node)
      expectTrue(editor)
      // Sqrt still reads the magnitude.
      #expect(editor.isLive(0) && editor.isLive(1))
      #expect(editor.index.isReadOnce(editor.graph.nodes[1].outputs[0]))
      try editor.replace(3, with: editor.graph.nodes[3].becoming("Tanh", inputs: [x]))
      expectTrue(editor)
      #expect(!editor.isLive(0) && !editor.isLive(1))
    }
    #expect(graph.operatorNames == ["Relu", "Tanh"])
    try graph.verify()
  }

  @Test("types follow from what is put in") func types() throws {
    var graph = try chain()
    try GraphEditor.edit(&graph) { editor throws(MartletError) in
      let x = editor.graph.inputs[0]
      let turned = try editor.add(
        "Transpose", name: "turned", inputs: [x], attributes: ["perm": .ints([1, 0])])
      #expect(editor.graph.values[turned].type.text == "float32[2, n]")
      let half = try editor.addConstant("half", [1], [0.5])
      let product = try editor.add("Mul", name: "product", inputs: [turned, half])
      expectTrue(editor)
      try editor.replace(2, with: editor.graph.nodes[2].becoming("Abs", inputs: [product]))
      expectTrue(editor)
    }
    // What was added stands before what reads it.
    #expect(graph.isTopological)
    try graph.verify(types: false)
  }

  @Test("a node that an operator refuses leaves the graph and throws") func refused() throws {
    var graph = try chain()
    let error = martletError {
      try GraphEditor.edit(&graph) { editor throws(MartletError) in
        try editor.replace(2, with: editor.graph.nodes[2].becoming("Concat", inputs: [0]))
      }
    }
    #expect(error?.node == "Exp2")
    #expect(graph.nodes.count == 4)
  }
}
