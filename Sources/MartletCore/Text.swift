import Synchronization

/// One element of a string tensor: immutable, valid UTF-8.
///
/// @unchecked Sendable: the bytes are written by the initialiser alone.
package final class Text: @unchecked Sendable, Equatable {
  /// What a text takes besides its bytes, about.
  package static let ownBytes = 128

  private let block: UnsafeMutableRawPointer
  private let claim: MemoryClaim?
  /// They last as long as the text.
  package let bytes: UnsafeBufferPointer<UInt8>

  /// The text of these bytes. Throws `invalidArgument` where they are not UTF-8, `outOfMemory`.
  package convenience init(utf8 bytes: UnsafeBufferPointer<UInt8>) throws(MartletError) {
    guard Text.isValid(bytes) else {
      throw MartletError(
        .invalidArgument, "a string is not valid UTF-8", expected: "UTF-8", actual: "other bytes")
    }
    try self.init(bytes)
  }

  package convenience init(
    _ string: String, _ allowance: RunAllowance? = nil
  ) throws(MartletError) {
    try self.init(string.utf8, allowance)
  }

  /// The text of these bytes, which are UTF-8 as the caller knows; while it lasts it counts against
  /// `allowance`. Throws `limitExceeded`, and `outOfMemory`.
  package init(
    _ source: some Collection<UInt8>, _ allowance: RunAllowance? = nil
  ) throws(MartletError) {
    let count = source.count
    claim = try MemoryClaim.of(bytes: count + Text.ownBytes, allowance)
    guard let block = Storage.block(byteCount: count + 1) else {
      throw MartletError(.outOfMemory, "cannot allocate a string of \(count) bytes")
    }
    let copy = UnsafeMutableBufferPointer(
      start: block.assumingMemoryBound(to: UInt8.self), count: count + 1)
    _ = copy.initialize(from: source)
    copy[count] = 0
    self.block = block
    bytes = UnsafeBufferPointer(start: block.assumingMemoryBound(to: UInt8.self), count: count)
  }

  deinit { Storage.release(block) }

  /// The bytes as C sees them: with the zero behind them.
  package var characters: UnsafeRawPointer { UnsafeRawPointer(block) }

  /// A copy.
  package var string: String { String(decoding: bytes, as: UTF8.self) }

  /// Byte by byte: characters that merely look the same differ.
  package static func == (a: Text, b: Text) -> Bool { a === b || a.bytes.elementsEqual(b.bytes) }

  private static func isValid(_ bytes: UnsafeBufferPointer<UInt8>) -> Bool {
    if bytes.allSatisfy({ $0 < 0x80 }) { return true }
    var decoder = UTF8()
    var iterator = bytes.makeIterator()
    while true {
      switch decoder.decode(&iterator) {
      case .scalarValue: continue
      case .emptyInput: return true
      case .error: return false
      }
    }
  }
}

/// The memory of string tensors: for each element a reference to its text, null for an empty one.
///
/// Loops that move elements move references, as numbers of eight bytes, and own nothing by that. Once
/// all are in their place the slots are *sealed*: each text is retained, and nothing is written any
/// more. A run seals what a node delivers, while the texts' former owners are still there.
///
/// @unchecked Sendable: written by the thread that made it until it is sealed, then never.
package final class TextSlots: @unchecked Sendable {
  let base: UnsafeMutablePointer<UnsafeRawPointer?>
  let count: Int
  private let isSealed = Atomic<Bool>(false)

  /// nil where there is no memory.
  init?(count: Int) {
    guard count >= 0,
      let block = Storage.block(byteCount: count * MemoryLayout<UnsafeRawPointer?>.stride)
    else { return nil }
    base = block.assumingMemoryBound(to: UnsafeRawPointer?.self)
    base.initialize(repeating: nil, count: count)
    self.count = count
  }

  /// Retains the texts; the second time it does nothing.
  package func seal() {
    guard !isSealed.exchange(true, ordering: .acquiringAndReleasing) else { return }
    for index in 0..<count {
      if let text = base[index] { _ = Unmanaged<Text>.fromOpaque(text).retain() }
    }
  }

  /// Puts `texts` in their places, which none were before, and seals them.
  fileprivate func fill(_ texts: [Text?]) {
    precondition(!isSealed.load(ordering: .acquiring) && texts.count == count)
    for case (let index, let text?) in texts.enumerated() where !text.bytes.isEmpty {
      base[index] = UnsafeRawPointer(Unmanaged.passUnretained(text).toOpaque())
    }
    withExtendedLifetime(texts) { seal() }
  }

  deinit {
    if isSealed.load(ordering: .acquiring) {
      for index in 0..<count {
        if let text = base[index] { Unmanaged<Text>.fromOpaque(text).release() }
      }
    }
    Storage.release(base)
  }
}

extension Tensor {
  /// A contiguous tensor of strings; throws `invalidShape` unless there is one for each element.
  package init(texts: [Text?], _ shape: [Int]) throws(MartletError) {
    guard try Shape.elementCount(shape) == texts.count else {
      throw MartletError(
        .invalidShape, "\(texts.count) strings were given for the shape \(Shape.text(shape))",
        expected: Shape.text(shape), actual: "\(texts.count) strings")
    }
    try self.init(uninitialized: .string, shape)
    setTexts(texts)
  }

  /// Writes the elements of a new contiguous string tensor, which nobody has written to.
  package func setTexts(_ texts: [Text?]) { storage.texts?.fill(texts) }

  /// Element `index`, in row-major order, of a string tensor; nil where it is empty.
  package func text(at index: Int) -> Text? {
    var (offset, rest) = (0, index)
    for axis in shape.indices.reversed() {
      offset += rest % shape[axis] * strides[axis]
      rest /= shape[axis]
    }
    return withExtendedLifetime(storage) {
      typed(UnsafeRawPointer?.self)[offset].map {
        Unmanaged<Text>.fromOpaque($0).takeUnretainedValue()
      }
    }
  }

  /// The elements of a string tensor in row-major order, any strides, nil where they are empty; of
  /// numbers, none.
  package var texts: [Text?] {
    guard dtype == .string, count > 0 else { return [] }
    var texts: [Text?] = []
    texts.reserveCapacity(count)
    var index = [Int](repeating: 0, count: rank)
    var offset = 0
    let slots = typed(UnsafeRawPointer?.self)
    withExtendedLifetime(storage) {
      for _ in 0..<count {
        texts.append(slots[offset].map { Unmanaged<Text>.fromOpaque($0).takeUnretainedValue() })
        for axis in index.indices.reversed() {
          index[axis] += 1
          offset += strides[axis]
          if index[axis] < shape[axis] { break }
          offset -= strides[axis] * shape[axis]
          index[axis] = 0
        }
      }
    }
    return texts
  }
}

extension Tensor {
  /// A contiguous tensor of strings; throws as `init(texts:_:)`, and `outOfMemory`.
  package init(strings: [String], _ shape: [Int]) throws(MartletError) {
    var texts: [Text?] = []
    texts.reserveCapacity(strings.count)
    for string in strings { texts.append(string.isEmpty ? nil : try Text(string)) }
    try self.init(texts: texts, shape)
  }

  /// The elements of a string tensor in row-major order, any strides; of numbers, none.
  package var strings: [String] { texts.map { $0?.string ?? "" } }
}
