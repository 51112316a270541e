import MartletCore

/// The 32-bit MurmurHash3 of each element's bytes: of a string its UTF-8, of a number its 4 or 8 bytes,
/// little-endian. Source: com.microsoft MurmurHash3 of ONNX Runtime 1.32; A. Appleby, "MurmurHash3_x86_32".
package struct MurmurHash3: Operator {
  package static let schema = OperatorSchema(
    name: "MurmurHash3", domain: OperatorID.microsoftDomain, inputs: ["X"], outputs: ["Y"],
    attributes: [
      "positive": "whether Y is uint32, not int32 of the same bits, 1", "seed": "of the hash, 0",
    ], traits: [.anyElement])
  private let seed: UInt32
  private let dtype: DType

  package init(_ node: OperatorNode) throws(MartletError) {
    seed = UInt32(truncatingIfNeeded: try node.attributes.int("seed", default: 0))
    dtype = try node.attributes.bool("positive", default: true) ? .uint32 : .int32
  }

  package func infer(_ inputs: [ValueType?]) throws(MartletError) -> [ValueType] {
    [ValueType(dtype: dtype, shape: inputs.type(0)?.shape)]
  }

  package func run(_ inputs: Inputs, _ context: RunContext) throws(MartletError) {
    let types: [DType] = [.string, .int32, .uint32, .int64, .uint64, .float32, .float64]
    let x = try context.contiguous(
      try inputs.required(0, { types.contains($0) }, "strings or numbers of 32 or 64 bits"))
    let output = try context.output(0, dtype, x.shape)
    let hashes = output.typed(UInt32.self)
    if x.dtype == .string {
      for (index, text) in x.texts.enumerated() {
        hashes[index] = hash(UnsafeRawBufferPointer(text?.bytes ?? .init(start: nil, count: 0)))
        withExtendedLifetime(text) {}
      }
    } else {
      let size = x.dtype.wholeByteCount
      for index in 0..<x.count {
        hashes[index] = hash(UnsafeRawBufferPointer(start: x.pointer + index * size, count: size))
      }
    }
    context.deliver(output)
  }

  private func hash(_ bytes: UnsafeRawBufferPointer) -> UInt32 {
    func turned(_ x: UInt32, _ bits: UInt32) -> UInt32 { x << bits | x >> (32 - bits) }
    func mixed(_ word: UInt32) -> UInt32 {
      turned(word &* 0xCC9E_2D51, 15) &* 0x1B87_3593
    }
    var hash = seed
    let whole = bytes.count / 4 * 4
    for place in stride(from: 0, to: whole, by: 4) {
      let word = UInt32(littleEndian: bytes.loadUnaligned(fromByteOffset: place, as: UInt32.self))
      hash = turned(hash ^ mixed(word), 13) &* 5 &+ 0xE654_6B64
    }
    var rest: UInt32 = 0
    for place in whole..<bytes.count { rest |= UInt32(bytes[place]) << UInt32(8 * (place - whole)) }
    if whole < bytes.count { hash ^= mixed(rest) }
    hash ^= UInt32(truncatingIfNeeded: bytes.count)
    hash = (hash ^ hash >> 16) &* 0x85EB_CA6B
    hash = (hash ^ hash >> 13) &* 0xC2B2_AE35
    return hash ^ hash >> 16
  }
}
