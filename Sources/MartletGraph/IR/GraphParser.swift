import MartletCore
import MartletOperators

extension Graph {
  /// The graph that `description` wrote as `text`; `constants` are those that it refers to.
  ///
  /// Throws `invalidModel` naming line and column, or what makes no sense about the graph.
  package init(parsing text: String, constants: [Tensor] = []) throws(MartletError) {
    var parser = GraphParser(text, constants)
    self = try parser.graph(indent: 0, depth: 0)
    try parser.expectEnd()
    try verify(types: false)
  }
}

/// Reads the lines of a graph's text.
private struct GraphParser {
  private let lines: [TextCursor]
  private var next = 0
  private let constants: [Tensor]

  init(_ text: String, _ constants: [Tensor]) {
    self.constants = constants
    var lines: [TextCursor] = []
    for (index, line) in text.unicodeScalars.split(
      separator: "\n", omittingEmptySubsequences: false
    )
    .enumerated() {
      let cursor = TextCursor(Array(line), line: index + 1)
      if !cursor.isBlank { lines.append(cursor) }
    }
    self.lines = lines
  }

  /// What the text has of values so far: their ids by their numbers.
  private struct Scope {
    var graph: Graph
    var ids: [Int: ValueID] = [:]

    /// A `%` and the number of a value that a line above makes.
    func read(_ cursor: inout TextCursor) throws(MartletError) -> ValueID {
      _ = cursor.peek()
      let before = cursor
      try cursor.expect("%")
      guard let id = ids[try cursor.integer("a value's number")] else {
        throw before.error("a value that a line above makes")
      }
      return id
    }

    /// A new value with its name, of a type that is still to come.
    mutating func make(_ cursor: inout TextCursor) throws(MartletError) -> ValueID {
      _ = cursor.peek()
      let before = cursor
      try cursor.expect("%")
      let number = try cursor.integer("a value's number")
      guard ids[number] == nil else { throw before.error("a value that no line above makes") }
      let id = graph.addValue(try cursor.quoted("the value's name"))
      ids[number] = id
      return id
    }
  }

  func expectEnd() throws(MartletError) {
    if next < lines.count { throw lines[next].error("the end of the text, or a line of the graph") }
  }

  // MARK: - Lines

  /// The next line, if it stands at this indent and starts with this word.
  private mutating func line(_ word: String, indent: Int) -> TextCursor? {
    guard next < lines.count, lines[next].indent == indent else { return nil }
    var cursor = lines[next]
    guard cursor.word() == word else { return nil }
    next += 1
    return cursor
  }

  mutating func graph(indent: Int, depth: Int) throws(MartletError) -> Graph {
    guard depth <= Region.maximumDepth else { throw Region.depthError }
    guard var head = line("graph", indent: indent) else {
      throw next < lines.count
        ? lines[next].error("'graph' after \(indent) spaces")
        : TextCursor([], line: lines.count + 1).error("'graph'")
    }
    var scope = Scope(graph: Graph(name: try head.quoted("the graph's name")))
    try head.expectEnd()
    while next < lines.count, lines[next].indent == indent {
      if var cursor = line("input", indent: indent) {
        let id = try scope.make(&cursor)
        try cursor.expect(":")
        scope.graph.values[id].type = try cursor.type()
        scope.graph.inputs.append(id)
        try cursor.expectEnd()
      } else if var cursor = line("constant", indent: indent) {
        let id = try scope.make(&cursor)
        try cursor.expect(":")
        scope.graph.values[id].type = Graph.constantType(try cursor.tensor(constants))
        try cursor.expectEnd()
      } else if let cursor = line("node", indent: indent) {
        try node(cursor, &scope, indent, depth)
      } else if let cursor = line("output", indent: indent) {
        try output(cursor, &scope)
      } else {
        throw lines[next].error("input, constant, node or output")
      }
    }
    return scope.graph
  }

  private mutating func node(
    _ line: TextCursor, _ scope: inout Scope, _ indent: Int, _ depth: Int
  ) throws(MartletError) {
    var cursor = line
    let name = try cursor.quoted("the node's name")
    try cursor.expect(":")
    // The outputs become values after the inputs are read, which they cannot be.
    let made = cursor
    if cursor.peek() != "=" {
      repeat {
        try cursor.expect("%")
        _ = try cursor.integer("a value's number")
        _ = try cursor.quoted("the value's name")
      } while cursor.skip(",")
    }
    try cursor.expect("=")
    var node = Node(
      name: name, op: try cursor.op(), inputs: [], outputs: [])
    try cursor.list("(", ")") { cursor throws(MartletError) in
      node.inputs.append(cursor.skip("_") ? nil : try scope.read(&cursor))
    }
    if cursor.peek() == "{" { node.attributes = try cursor.attributes(constants) }
    while let region = try region(scope, indent + 2, depth) { node.regions.append(region) }
    var outputs = made
    if outputs.peek() != "=" {
      repeat { node.outputs.append(try scope.make(&outputs)) } while outputs.skip(",")
    }
    try cursor.expect(":")
    for (index, id) in node.outputs.enumerated() {
      if index > 0 { try cursor.expect(",") }
      scope.graph.values[id].type = try cursor.type()
    }
    if cursor.skip("fused") {
      repeat { node.fused.append(try cursor.quoted("a node's name")) } while cursor.skip(",")
    }
    try cursor.expectEnd()
    scope.graph.nodes.append(node)
  }

  private mutating func region(
    _ scope: Scope, _ indent: Int, _ depth: Int
  ) throws(MartletError) -> Region? {
    guard var head = line("region", indent: indent) else { return nil }
    let name = try head.quoted("the region's name")
    var captures: [ValueID] = []
    try head.list("(", ")") { cursor throws(MartletError) in
      captures.append(try scope.read(&cursor))
    }
    try head.expectEnd()
    let inner = try graph(indent: indent + 2, depth: depth + 1)
    guard inner.inputs.count >= captures.count else {
      throw head.error("at least \(captures.count) inputs in the region")
    }
    return Region(name: name, graph: inner, captures: captures)
  }

  private func output(_ line: TextCursor, _ scope: inout Scope) throws(MartletError) {
    var cursor = line
    let name = try cursor.quoted("the output's name")
    try cursor.expect("=")
    var output = GraphOutput(name: name, value: try scope.read(&cursor))
    if cursor.skip(":") { output.declared = try cursor.type() }
    try cursor.expectEnd()
    scope.graph.outputs.append(output)
  }
}
