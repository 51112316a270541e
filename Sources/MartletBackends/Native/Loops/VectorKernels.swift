import Glibc
import MartletKernels

/// The f32 vector functions of the chosen instruction set, entry by entry the best that exists.
struct VectorKernels: Sendable {
  private(set) var unary = [mk_unary_fn?](repeating: nil, count: MK_UNARY_COUNT)
  private(set) var binary = [mk_binary_fn?](repeating: nil, count: MK_BINARY_COUNT)
  private(set) var reduce = [mk_reduce_fn?](repeating: nil, count: MK_REDUCE_COUNT)
  private(set) var accumulate = [mk_accumulate_fn?](
    repeating: nil, count: MK_REDUCE_COUNT)
  /// The functions that are not arrays, each taken from the last table that has it.
  private(set) var table = mk_vector_table()

  /// The kernels of this processor under `MARTLET_ISA`.
  static let chosen = VectorKernels()

  private init() {
    var count: Int32 = 0
    guard let list = mk_isa_list(&count) else { return }
    let features = mk_cpu_features()
    let cap = getenv("MARTLET_ISA").map { String(cString: $0) }
    for index in 0..<Int(count) {
      guard let isa = list[index]?.pointee, isa.needs & features == isa.needs,
        isa.probe?() ?? true
      else { continue }
      if let vectors = isa.vectors { merge(vectors.pointee) }
      if let cap, let name = isa.name, String(cString: name) == cap { break }
    }
  }

  private mutating func merge(_ newer: mk_vector_table) {
    VectorKernels.merge(newer.unary, &unary)
    VectorKernels.merge(newer.binary, &binary)
    VectorKernels.merge(newer.reduce, &reduce)
    VectorKernels.merge(newer.accumulate, &accumulate)
    table.softmax = newer.softmax ?? table.softmax
    table.log_softmax = newer.log_softmax ?? table.log_softmax
    table.layer_norm = newer.layer_norm ?? table.layer_norm
    table.rms_norm = newer.rms_norm ?? table.rms_norm
    table.f32_to_bf16 = newer.f32_to_bf16 ?? table.f32_to_bf16
    table.bf16_to_f32 = newer.bf16_to_f32 ?? table.bf16_to_f32
    table.f32_to_f16 = newer.f32_to_f16 ?? table.f32_to_f16
    table.f16_to_f32 = newer.f16_to_f32 ?? table.f16_to_f32
    table.transpose32 = newer.transpose32 ?? table.transpose32
  }

  /// A C array of function pointers is a tuple in Swift: read it entry by entry.
  private static func merge<Tuple, Function>(_ tuple: Tuple, _ functions: inout [Function?]) {
    withUnsafeBytes(of: tuple) { bytes in
      let newer = bytes.assumingMemoryBound(to: Function?.self)
      for index in functions.indices where index < newer.count {
        functions[index] = newer[index] ?? functions[index]
      }
    }
  }
}
