import CMartlet
import MartletCore

/// A struct that callers fill with options, which begins with `struct_size`: the size that it has in
/// the caller's header.
///
/// Fields are only ever added at the end, and never into what was padding: older programs leave there
/// what they please.
protocol OptionsStruct {
  /// Its name in C.
  static var name: String { get }
  /// All fields 0.
  init()
}

extension martlet_model_options: OptionsStruct {
  static var name: String { "martlet_model_options" }
}

extension martlet_conv_options: OptionsStruct {
  static var name: String { "martlet_conv_options" }
}

extension martlet_pool_options: OptionsStruct {
  static var name: String { "martlet_pool_options" }
}

/// The caller's options as this library knows them; nil for NULL.
///
/// Fields that a smaller struct of an older header lacks are 0. Throws `unsupported` for a larger one in
/// which what this library does not know is not 0, and `invalidArgument` for a size that no header has.
func options<Options: OptionsStruct>(_ pointer: UnsafePointer<Options>?)
  throws(MartletError) -> Options?
{
  guard let pointer else { return nil }
  let source = UnsafeRawPointer(pointer)
  let given = source.loadUnaligned(as: UInt.self)
  let known = MemoryLayout<Options>.size
  // What is larger than any header will have is not looked at, to say nothing of read.
  guard (UInt(MemoryLayout<Int>.size)...largestOptions).contains(given),
    given % UInt(MemoryLayout<Options>.alignment) == 0
  else {
    throw MartletError(
      .invalidArgument, "options.struct_size is \(given)", input: "options.struct_size",
      expected: "sizeof(\(Options.name)), \(known)", actual: "\(given)")
  }
  for offset in known..<max(known, Int(given))
  where source.load(fromByteOffset: offset, as: UInt8.self) != 0 {
    throw MartletError(
      .unsupported,
      "options of \(given) bytes are of a newer header, and this library, which knows \(known), "
        + "does not know what byte \(offset) sets", input: "options",
      expected: "0 in fields that this library does not know", actual: "not 0 at byte \(offset)")
  }
  var options = Options()
  withUnsafeMutableBytes(of: &options) { bytes in
    bytes.copyMemory(from: UnsafeRawBufferPointer(start: source, count: min(Int(given), known)))
  }
  return options
}

/// Bytes; no header will have options of so many fields.
private let largestOptions: UInt = 1024

/// Fills the caller's struct, which begins with the size that it has in their header, with what this
/// library knows: of a smaller one the fields that it has, and zeros at the end of a larger one.
///
/// Throws `invalidArgument` for a size that no header has.
func fill<Result>(
  _ target: UnsafeMutableRawPointer, with result: Result, _ parameter: String
) throws(MartletError) {
  let given = target.loadUnaligned(as: UInt.self)
  let known = MemoryLayout<Result>.size
  let first = MemoryLayout<UInt>.size
  guard (UInt(first)...largestOptions).contains(given),
    given % UInt(MemoryLayout<Result>.alignment) == 0
  else {
    throw MartletError(
      .invalidArgument, "\(parameter).struct_size is \(given)", input: "\(parameter).struct_size",
      expected: "sizeof(\(Result.self)), \(known)", actual: "\(given)")
  }
  let fields = UnsafeMutableRawBufferPointer(start: target, count: Int(given))
  for offset in first..<fields.count { fields[offset] = 0 }
  withUnsafeBytes(of: result) { bytes in
    let end = min(fields.count, known)
    guard end > first else { return }
    UnsafeMutableRawBufferPointer(rebasing: fields[first..<end]).copyMemory(
      from: UnsafeRawBufferPointer(rebasing: bytes[first..<end]))
  }
}
