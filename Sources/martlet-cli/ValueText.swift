import MartletCore

/// Values as people and as programs read them.
struct ValueText {
  /// Whether all elements are written, with all their digits.
  let isFull: Bool
  /// Elements at each end of an axis that is too long to be written, and how long that is.
  private static let edge = 3
  private static let longest = 10
  /// The most elements that go to JSON unless all are asked for.
  static let mostJSON = 1000

  // MARK: - Text

  /// The value in lines, the deeper ones indented.
  func text(_ value: Value, indent: String = "  ") throws(MartletError) -> String {
    switch value {
    case .tensor(let tensor): return indent + (try text(tensor, indent))
    case .state(let state): return indent + (try text(state.tensor, indent))
    case .optional(nil): return indent + "none"
    case .optional(let value?): return try text(value, indent: indent)
    case .sequence(let sequence):
      if sequence.elements.isEmpty { return indent + "[]" }
      return try list(
        sequence.elements.enumerated().map { ("[\($0)]", $1) }, indent: indent)
    case .map(let map): return try list(try ValueText.pairs(map), indent: indent)
    }
  }

  private func list(_ items: [(String, Value)], indent: String) throws(MartletError) -> String {
    var lines: [String] = []
    for index in shown(items.count) {
      guard let index else {
        lines.append(indent + "... (\(items.count) in all)")
        continue
      }
      let (name, value) = items[index]
      let inner = try text(value, indent: indent + "  ")
      lines.append(
        inner.contains("\n")
          ? "\(indent)\(name):\n\(inner)"
          : "\(indent)\(name): \(inner.dropFirst(indent.count + 2))")
    }
    return lines.joined(separator: "\n")
  }

  private static func pairs(_ map: ValueMap) throws(MartletError) -> [(String, Value)] {
    let keys = try Elements(map.keys)
    return map.values.enumerated().map { index, value in
      (keys.text(index, isFull: true), value)
    }
  }

  /// The indices along an axis, nil for those that are left out.
  private func shown(_ extent: Int) -> [Int?] {
    if isFull || extent <= ValueText.longest { return Array(0..<extent) }
    return Array(0..<ValueText.edge) + [nil] + Array(extent - ValueText.edge..<extent)
  }

  private func text(_ tensor: Tensor, _ indent: String) throws(MartletError) -> String {
    let elements = try Elements(tensor)
    let isQuoted = tensor.dtype == .string
    let cell = { (index: Int) in
      isQuoted ? elements.json(index) : elements.text(index, isFull: isFull)
    }
    guard let columns = tensor.shape.last else { return cell(0) }
    if tensor.count == 0 { return "[] (no elements)" }
    // The places that are written, and how wide the widest of them is.
    let width = isQuoted ? 0 : places(tensor.shape).map { cell($0).count }.max() ?? 0
    func rows(_ axis: Int, _ start: Int, _ indent: String) -> String {
      let items = shown(tensor.shape[axis])
      if axis == tensor.rank - 1 {
        let cells = items.map { index in
          guard let index else { return "..." }
          let text = cell(start * columns + index)
          return String(repeating: " ", count: max(width - text.count, 0)) + text
        }
        return "[" + cells.joined(separator: " ") + "]"
      }
      let inner = items.map { index in
        index.map { rows(axis + 1, start * tensor.shape[axis] + $0, indent + " ") } ?? "..."
      }
      return "[" + inner.joined(separator: "\n\(indent) ") + "]"
    }
    return rows(0, 0, indent)
  }

  /// The positions of the elements that are written.
  private func places(_ shape: [Int]) -> [Int] {
    var places = [0]
    for extent in shape {
      let items = shown(extent).compactMap { $0 }
      places = places.flatMap { place in items.map { place * extent + $0 } }
    }
    return places
  }

  // MARK: - JSON

  /// The value for JSON: lists in lists, maps as objects; null for large ones unless all is asked for.
  func json(_ value: Value) throws(MartletError) -> JSON {
    switch value {
    case .tensor(let tensor): return try json(tensor)
    case .state(let state): return try json(state.tensor)
    case .optional(nil): return .null
    case .optional(let value?): return try json(value)
    case .sequence(let sequence):
      var items: [JSON] = []
      for element in sequence.elements { items.append(try json(element)) }
      return .array(items)
    case .map(let map):
      var members: [(String, JSON)] = []
      for (key, value) in try ValueText.pairs(map) { members.append((key, try json(value))) }
      return .object(members)
    }
  }

  private func json(_ tensor: Tensor) throws(MartletError) -> JSON {
    guard isFull || tensor.count <= ValueText.mostJSON else { return .null }
    let elements = try Elements(tensor)
    func text(_ axis: Int, _ start: Int) -> String {
      guard axis < tensor.rank else { return elements.json(start) }
      let items = (0..<tensor.shape[axis]).map { text(axis + 1, start * tensor.shape[axis] + $0) }
      return "[" + items.joined(separator: ", ") + "]"
    }
    return .literal(text(0, 0))
  }
}
