import MartletCore

/// The static type of a value: what a model says of its inputs and outputs, as far as it says it.
package indirect enum ValueKind: Sendable, Equatable {
  /// A tensor; nil: the dtype, or not even the rank, is not known.
  case tensor(DType?, [Dimension]?)
  case sequence(of: ValueKind)
  /// A value that may be missing.
  case optional(of: ValueKind)
  /// Values by keys that are strings or integers.
  case map(key: DType, value: ValueKind)

  /// As text: `sequence(float32[n, 3])`, `optional(int64)`; `?` for what is not known.
  package var text: String { text { $0.description } }

  package func text(_ dimension: (Dimension) -> String) -> String {
    switch self {
    case .tensor(let dtype, let shape):
      (dtype.map { "\($0)" } ?? "?")
        + (shape.map { "[" + $0.map(dimension).joined(separator: ", ") + "]" } ?? "")
    case .sequence(let element): "sequence(\(element.text(dimension)))"
    case .optional(let element): "optional(\(element.text(dimension)))"
    case .map(let key, let value): "map(\(key), \(value.text(dimension)))"
    }
  }

  /// What it is a sequence of; nil for other kinds.
  package var sequenceElement: ValueKind? {
    if case .sequence(let element) = self { element } else { nil }
  }

  /// Whether it is nested no deeper than `limit` levels.
  package func isShallower(than limit: Int = Value.maximumDepth) -> Bool {
    guard limit > 0 else { return false }
    switch self {
    case .tensor: return true
    case .sequence(let element), .optional(let element), .map(_, let element):
      return element.isShallower(than: limit - 1)
    }
  }

  package static let unknownTensor = ValueKind.tensor(nil, nil)

  /// This kind with what `other` knows beyond it; where both know, this one stands.
  package func completed(by other: ValueKind) -> ValueKind {
    switch (self, other) {
    case (.tensor, .tensor):
      ValueType(self).completed(by: ValueType(other)).kind
    case (.sequence(let mine), .sequence(let theirs)): .sequence(of: mine.completed(by: theirs))
    case (.optional(let mine), .optional(let theirs)): .optional(of: mine.completed(by: theirs))
    case (.map(let key, let mine), .map(let otherKey, let theirs)) where key == otherKey:
      .map(key: key, value: mine.completed(by: theirs))
    default: self
    }
  }

  /// This kind with nothing said of shapes.
  package var withoutExtents: ValueKind {
    switch self {
    case .tensor(let dtype, _): .tensor(dtype, nil)
    case .sequence(let element): .sequence(of: element.withoutExtents)
    case .optional(let element): .optional(of: element.withoutExtents)
    case .map(let key, let value): .map(key: key, value: value.withoutExtents)
    }
  }

  /// What holds of values of both kinds; nil where no value is of both.
  package func common(with other: ValueKind) -> ValueKind? {
    switch (self, other) {
    case (.tensor(let mine?, _), .tensor(let theirs?, _)) where mine != theirs: return nil
    case (.tensor, .tensor):
      let (a, b) = (ValueType(self), ValueType(other))
      return .tensor(a.dtype ?? b.dtype, a.common(with: b).shape)
    case (.sequence(let mine), .sequence(let theirs)):
      return mine.common(with: theirs).map { .sequence(of: $0) }
    case (.optional(let mine), .optional(let theirs)):
      return mine.common(with: theirs).map { .optional(of: $0) }
    case (.map(let key, let mine), .map(let otherKey, let theirs)) where key == otherKey:
      return mine.common(with: theirs).map { .map(key: key, value: $0) }
    default: return nil
    }
  }

  /// Whether one value may be of both kinds: no dtype, rank or extent contradicts.
  package func agrees(with other: ValueKind) -> Bool {
    switch (self, other) {
    case (.tensor, .tensor): ValueType(self).agrees(with: ValueType(other))
    case (.sequence(let mine), .sequence(let theirs)): mine.agrees(with: theirs)
    case (.optional(let mine), .optional(let theirs)): mine.agrees(with: theirs)
    case (.map(let key, let mine), .map(let otherKey, let theirs)):
      key == otherKey && mine.agrees(with: theirs)
    // Nothing is known of an unknown one but that it may be anything.
    case (.tensor(nil, nil), _), (_, .tensor(nil, nil)): true
    default: false
    }
  }
}

extension Value {
  /// Whether it is of this kind, as far as that says; each element of a sequence and a map is asked.
  package func agrees(with kind: ValueKind) -> Bool {
    switch (self, kind) {
    // A sequence is asked for each of its elements whenever it is handed on.
    case (.tensor(let tensor), .tensor(let dtype, nil)):
      return dtype == nil || dtype == tensor.dtype
    case (.sequence(let sequence), .sequence(let element)):
      if sequence.elements.isEmpty {
        return ValueKind.tensor(sequence.dtype, nil).agrees(with: element)
      }
      if sequence.isPlain, case .tensor(let dtype, nil) = element {
        return dtype == nil || dtype == sequence.dtype
      }
      return sequence.elements.allSatisfy { $0.agrees(with: element) }
    case (.optional(let value), .optional(let element)): return value?.agrees(with: element) ?? true
    case (.map(let map), .map(let key, let element)):
      return map.keys.dtype == key && map.values.allSatisfy { $0.agrees(with: element) }
    default: return self.kind.agrees(with: kind)
    }
  }

  /// Its kind, with everything that the value itself knows.
  package var kind: ValueKind {
    switch self {
    case .tensor(let tensor): .tensor(tensor.dtype, tensor.shape.map { .known($0) })
    case .sequence(let sequence):
      .sequence(of: sequence.elements.first?.kind ?? .tensor(sequence.dtype, nil))
    case .optional(let value): .optional(of: value?.kind ?? .unknownTensor)
    case .map(let map):
      .map(key: map.keys.dtype, value: map.values.first?.kind ?? .unknownTensor)
    case .state(let state):
      .tensor(state.tensor.dtype, state.tensor.shape.map { .known($0) })
    }
  }
}
