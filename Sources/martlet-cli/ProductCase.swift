import ArgumentParser
import MartletBackends
import MartletCore

/// The extents of a product, written MxNxK.
struct ProductShape: ExpressibleByArgument, Hashable {
  var m: Int
  var n: Int
  var k: Int

  init(_ m: Int, _ n: Int, _ k: Int) { (self.m, self.n, self.k) = (m, n, k) }

  init?(argument: String) {
    let extents = argument.split(separator: "x", omittingEmptySubsequences: false).map { Int($0) }
    guard extents.count == 3, let m = extents[0], let n = extents[1], let k = extents[2],
      [m, n, k].allSatisfy({ (1...1 << 20).contains($0) })
    else { return nil }
    self.init(m, n, k)
  }

  var text: String { "\(m)x\(n)x\(k)" }
  var operations: Double { 2 * Double(m) * Double(n) * Double(k) }
}

/// What is multiplied, and in which mode.
enum ProductKind: CaseIterable {
  case float32, bf16Mode, bfloat16, int8

  var name: String {
    switch self {
    case .float32: "float32"
    case .bf16Mode: "BF16 mode"
    case .bfloat16: "bfloat16"
    case .int8: "uint8 x int8"
    }
  }

  var mode: MathMode { self == .float32 || self == .int8 ? .fp32 : .bf16 }
  var needsBF16: Bool { mode == .bf16 }

  var lhs: DType {
    switch self {
    case .float32, .bf16Mode: .float32
    case .bfloat16: .bfloat16
    case .int8: .uint8
    }
  }
  var rhs: DType { self == .int8 ? .int8 : lhs }
  var dst: DType { self == .int8 ? .int32 : .float32 }

  /// Bytes that a weight takes in the memory that a product reads, with bf16 units or without.
  func weightBytes(isPacked: Bool, hasBF16: Bool) -> Int {
    self == .bf16Mode && isPacked && hasBF16 ? 2 : rhs.wholeByteCount
  }

  /// The unit that does the work.
  func unit(hasBF16: Bool) -> HardwarePeak.Unit {
    switch self {
    case .int8: .int8
    case .float32: .float32
    case .bf16Mode, .bfloat16: hasBF16 ? .bfloat16 : .float32
    }
  }
}

enum ProductSuite: String, ExpressibleByArgument, CaseIterable { case bars }

/// One product to measure, and what it has to reach.
struct ProductCase {
  enum Bar {
    /// Of the lower of two limits: the multiply-add units' and, for weights beyond the caches,
    /// memory's.
    case share(Double)
    /// Times as fast as on one thread.
    case speedUp(Double)
  }

  var shape: ProductShape
  var kind: ProductKind
  var isPacked: Bool
  var threads: Int
  var bar: Bar?

  /// Whether the processor's bf16 units serve products here.
  static var hasBF16: Bool { ISASelection.current.noBF16Reason.isEmpty }

  var name: String { isPacked ? "\(kind.name), packed" : kind.name }
  var weightBytes: Double {
    Double(shape.n) * Double(shape.k)
      * Double(kind.weightBytes(isPacked: isPacked, hasBF16: ProductCase.hasBF16))
  }
  /// Weights of that size for few rows come from memory, each round from another copy.
  var isStreamed: Bool { shape.m <= 16 && weightBytes >= 32e6 }

  /// Every kind of one shape, packed and not.
  static func all(_ shape: ProductShape, threads: Int) -> [ProductCase] {
    ProductKind.allCases.flatMap { kind in
      [false, true].map {
        ProductCase(shape: shape, kind: kind, isPacked: $0, threads: threads)
      }
    }
  }

  /// The bars of one thread and, with `threads` beyond one, those of that many against one; those of
  /// bf16 where there are units for it.
  static func bars(threads: Int) -> [ProductCase] {
    // AVX2 has half the registers; it is held to 5 points less.
    let lowered = ["avx2", "avxvnni"].contains(ISASelection.current.name) ? 0.05 : 0
    let squares = [256, 512, 1024, 2048].map { ProductShape($0, $0, $0) }
    let layers = [
      ProductShape(128, 768, 768), ProductShape(128, 3072, 768), ProductShape(128, 768, 3072),
      ProductShape(512, 4096, 4096), ProductShape(197, 768, 768), ProductShape(3136, 64, 576),
    ]
    let (tiny, small, medium) = (
      ProductShape(17, 33, 65), ProductShape(64, 64, 64), ProductShape(128, 128, 128)
    )
    let streams = [ProductShape(1, 4096, 4096), ProductShape(8, 4096, 4096)]
    var cases: [ProductCase] = []
    func add(_ shapes: [ProductShape], _ kind: ProductKind, packed: Bool, _ share: Double?) {
      if kind.needsBF16 && !hasBF16 { return }
      for shape in shapes {
        cases.append(
          ProductCase(
            shape: shape, kind: kind, isPacked: packed, threads: 1, bar: share.map { .share($0) }))
      }
    }
    add([tiny], .float32, packed: false, nil)
    add([tiny], .float32, packed: true, nil)
    add([small], .float32, packed: false, 0.85 - lowered)
    add([small], .float32, packed: true, 0.85 - lowered)
    add([medium], .float32, packed: false, nil)
    add([medium], .float32, packed: true, nil)
    add(squares, .float32, packed: false, 0.94 - lowered)
    add(squares, .float32, packed: true, 0.94 - lowered)
    add(layers, .float32, packed: false, nil)
    add(layers, .float32, packed: true, 0.92 - lowered)
    add(streams, .float32, packed: false, nil)
    add(streams, .float32, packed: true, 0.9 - lowered)
    add([small], .bf16Mode, packed: true, 0.6)
    add([medium], .bf16Mode, packed: true, 0.75)
    add(squares, .bf16Mode, packed: true, 0.92)
    add(layers, .bf16Mode, packed: true, 0.9)
    add(streams, .bf16Mode, packed: true, 0.9)
    let large = squares.filter { $0.n >= 512 }
    add(large, .bf16Mode, packed: false, 0.85)
    add(large, .bfloat16, packed: true, 0.96)
    add(large, .int8, packed: true, 0.85)
    guard threads > 1 else { return cases }
    for product in cases where product.isPacked && product.kind != .int8 {
      let isLarge = large.contains(product.shape) || layers.contains(product.shape)
      var together = product
      together.threads = threads
      // Never slower than one thread; 3% are the measurement's.
      together.bar = .speedUp(isLarge ? 1.85 / 2 * Double(threads) : 0.97)
      cases.append(together)
    }
    return cases
  }
}
