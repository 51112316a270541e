import CMartlet
import Glibc
import MartletCore
import MartletImport
import MartletOperators
import MartletRuntime

/// What a `martlet_model` handle stands for: the model, what C sees of it, and sessions at rest for
/// `martlet_model_run`.
///
/// @unchecked Sendable: the tables are written before anybody else sees the object.
final class ModelObject: HandleObject, @unchecked Sendable {
  static let kind = HandleKind.model

  let model: Model
  let inputs: ValueTable
  let outputs: ValueTable
  let replaceable: ValueTable
  let metadata: [(key: CText, value: CText)]
  let sessionsAtRest: SessionsAtRest

  init(_ model: Model) {
    self.model = model
    sessionsAtRest = SessionsAtRest(of: model)
    inputs = ValueTable(model.inputs)
    outputs = ValueTable(model.outputs)
    replaceable = ValueTable(model.replaceable)
    metadata = ModelObject.entries(model.metadata).map { (CText($0.key), CText($0.value)) }
  }

  private static func entries(_ metadata: ModelMetadata) -> [(key: String, value: String)] {
    let own: [(key: String, value: String)] = [
      ("format", metadata.format), ("producer", metadata.producerName),
      ("producer_version", metadata.producerVersion), ("domain", metadata.domain),
      ("model_version", "\(metadata.modelVersion)"), ("ir_version", "\(metadata.irVersion)"),
      ("graph", metadata.graphName), ("documentation", metadata.documentation),
    ]
    let opsets = metadata.opsets.sorted { $0.key < $1.key }.map {
      (key: $0.key.isEmpty ? "opset" : "opset \($0.key)", value: "\($0.value)")
    }
    return own.filter { !$0.value.isEmpty } + opsets + metadata.properties
  }
}

/// A C string with an owner.
///
/// @unchecked Sendable: never written after init.
final class CText: @unchecked Sendable {
  let pointer: UnsafePointer<CChar>
  private let count: Int

  init(_ text: String) {
    count = text.utf8.count + 1
    let copy = UnsafeMutablePointer<CChar>.allocate(capacity: count)
    for (index, byte) in text.utf8.enumerated() { copy[index] = CChar(bitPattern: byte) }
    copy[count - 1] = 0
    pointer = UnsafePointer(copy)
  }

  deinit { UnsafeMutablePointer(mutating: pointer).deallocate() }
}

/// The inputs or outputs of a model, as C sees them.
///
/// @unchecked Sendable: never written after init.
final class ValueTable: @unchecked Sendable {
  private let rows: UnsafeMutableBufferPointer<martlet_value_info>
  private var texts: [CText] = []

  init(_ ports: [Model.Port]) {
    rows = .allocate(capacity: ports.count)
    rows.initialize(repeating: martlet_value_info())
    for (index, port) in ports.enumerated() {
      rows[index].name = text(port.name)
      rows[index].dtype = port.dtype?.rawValue ?? 0
      rows[index].kind = port.kind.code
      rows[index].type = text(port.kind.text)
      rows[index].rank = port.shape.map { Int32(clamping: $0.count) } ?? -1
      guard let shape = port.shape, !shape.isEmpty else { continue }
      let extents = UnsafeMutablePointer<Int64>.allocate(capacity: shape.count)
      let symbols = UnsafeMutablePointer<UnsafePointer<CChar>?>.allocate(capacity: shape.count)
      for (axis, dimension) in shape.enumerated() {
        (extents + axis).initialize(to: -1)
        (symbols + axis).initialize(to: nil)
        switch dimension {
        case .known(let extent): extents[axis] = Int64(extent)
        case .symbol(let name): symbols[axis] = text(name)
        case .expression(let expression): symbols[axis] = text(expression.description)
        case .unknown: break
        }
      }
      rows[index].shape = UnsafePointer(extents)
      rows[index].symbols = UnsafePointer(symbols)
    }
  }

  deinit {
    for row in rows {
      row.shape?.deallocate()
      row.symbols?.deallocate()
    }
    rows.deallocate()
  }

  var count: Int { rows.count }

  /// The row at `index`; throws `invalidArgument` out of range.
  func row(_ index: Int, _ what: String) throws(MartletError) -> UnsafePointer<martlet_value_info> {
    guard rows.indices.contains(index), let base = rows.baseAddress else {
      throw MartletError(
        .invalidArgument, "the model has \(count) \(what), there is no index \(index)",
        input: "index", expected: "0..<\(count)", actual: "\(UInt(bitPattern: index))")
    }
    return UnsafePointer(base + index)
  }

  private func text(_ string: String) -> UnsafePointer<CChar> {
    let text = CText(string)
    texts.append(text)
    return text.pointer
  }
}
