import MartletBackends
import MartletCore

/// Where keys stand in a list, by their values: integers, floats or strings. Of equal keys the last
/// stands for all. Zeros of either sign are one key, and so is everything that is no number.
struct KeyTable: Sendable {
  private enum Places {
    case integers([Int64: Int])
    case floats([UInt64: Int])
    case texts([TextKey: Int])
  }

  /// The elements' type that is looked up; integers and floats of other widths are looked up too.
  let dtype: DType
  let count: Int
  private let places: Places

  init(integers: [Int64], dtype: DType = .int64) {
    self.dtype = dtype
    count = integers.count
    places = .integers(Dictionary(KeyTable.numbered(integers), uniquingKeysWith: { $1 }))
  }

  init(floats: [Double], dtype: DType) {
    self.dtype = dtype
    count = floats.count
    places = .floats(
      Dictionary(KeyTable.numbered(floats.map(KeyTable.bits)), uniquingKeysWith: { $1 }))
  }

  init(texts: [Text?]) {
    dtype = .string
    count = texts.count
    places = .texts(
      Dictionary(KeyTable.numbered(texts.map { TextKey($0) }), uniquingKeysWith: { $1 }))
  }

  /// The keys of one of two attributes, `integers` or `texts`; throws unless one alone has some.
  init(
    _ attributes: Attributes, integers integerName: String, texts textName: String
  ) throws(MartletError) {
    let integers = try attributes.optionalInts(integerName) ?? []
    let strings = try attributes.optionalStrings(textName) ?? []
    guard integers.isEmpty != strings.isEmpty else {
      let name = attributes.operatorName
      throw MartletError(
        .invalidArgument,
        "\(name): expected keys in one of \(integerName) and \(textName), got \(integers.count) and \(strings.count)",
        operatorName: name, input: textName, expected: "keys in one of them",
        actual: "\(integers.count) and \(strings.count) keys")
    }
    if strings.isEmpty {
      self.init(integers: integers.map { Int64($0) })
    } else {
      self.init(texts: try ClassLabels.texts(strings))
    }
  }

  /// The elements of a vector, of strings, integers or floats.
  init(_ tensor: Tensor) {
    if tensor.dtype == .string {
      self.init(texts: tensor.texts)
    } else if tensor.dtype.isFloatingPoint {
      self.init(floats: SmallTensors.doubles(tensor), dtype: tensor.dtype)
    } else {
      self.init(
        integers: SmallTensors.integers(tensor).map { Int64($0) }, dtype: tensor.dtype)
    }
  }

  private static func numbered<Key>(_ keys: [Key]) -> [(Key, Int)] {
    keys.enumerated().map { ($1, $0) }
  }

  private static func bits(_ value: Double) -> UInt64 {
    value == 0 ? 0 : value.isNaN ? Double.nan.bitPattern : value.bitPattern
  }

  func place(_ integer: Int64) -> Int? {
    if case .integers(let places) = places { places[integer] } else { nil }
  }

  func place(_ text: Text?) -> Int? {
    if case .texts(let places) = places { places[TextKey(text)] } else { nil }
  }

  /// The place of each element of x, in row-major order, -1 where it is no key: int64 [count]. Integers
  /// are looked up among floats by their values, and floats among integers by what is before the point.
  func places(
    _ x: Tensor, _ operatorName: String, _ context: RunContext
  ) throws(MartletError) -> UnsafeMutablePointer<Int64> {
    let result = try context.scratch(.int64, [x.count]).typed(Int64.self)
    switch places {
    case .texts(let places):
      try context.checkRoom(x.count, operatorName)
      let texts = x.texts
      context.forEachRange(x.count, nanoseconds: 40) { range in
        for i in range { result[i] = Int64(places[TextKey(texts[i])] ?? -1) }
      }
    case .integers(let places):
      let keys = try context.contiguous(try context.converted(x, to: .int64)).typed(Int64.self)
      context.forEachRange(x.count, nanoseconds: 20) { range in
        for i in range { result[i] = Int64(places[keys[i]] ?? -1) }
      }
    case .floats(let places):
      let keys = try context.contiguous(try context.converted(x, to: .float64)).typed(Double.self)
      context.forEachRange(x.count, nanoseconds: 20) { range in
        for i in range { result[i] = Int64(places[KeyTable.bits(keys[i])] ?? -1) }
      }
    }
    return result
  }
}

/// A text as the key of a table, byte by byte.
private struct TextKey: Hashable {
  private let text: Text?

  init(_ text: Text?) { self.text = text }

  private var bytes: UnsafeBufferPointer<UInt8> {
    text?.bytes ?? UnsafeBufferPointer(start: nil, count: 0)
  }

  static func == (a: TextKey, b: TextKey) -> Bool {
    a.text === b.text || a.bytes.elementsEqual(b.bytes)
  }

  func hash(into hasher: inout Hasher) {
    hasher.combine(bytes: UnsafeRawBufferPointer(bytes))
  }
}
