import Glibc
import MartletCore
import MartletKernels
import MartletPlatform

/// Which instruction set's kernels this process runs, chosen once at first use: the most capable one
/// that is compiled in, that the processor has, that passes its self-check and that no cap forbids.
package struct ISASelection: Sendable {
  /// An instruction set that was compiled in but is not used, and why.
  package struct Refusal: Sendable, Equatable {
    package let name: String
    package let reason: String
  }

  /// The chosen instruction set's name, e.g. `avx2`.
  package let name: String
  /// The compiled-in instruction sets that the processor has, whatever the cap.
  package let found: [String]
  package let refused: [Refusal]
  /// The processor's brand string.
  package let processor: String
  /// Names of the processor's features that kernels know of.
  package let features: [String]
  /// Bytes of data cache at levels 1, 2 and 3; 0 where unknown.
  package let cacheBytes: [Int]
  /// Why there is no bf16 arithmetic; empty where there is.
  package let noBF16Reason: String
  let kernels: KernelSet

  /// The process's selection; the first access makes it.
  package static let current: ISASelection = {
    let cap = state.withLock { state in
      state.isChosen = true
      return state.cap
    }
    return FloatingPointEnvironment.own {
      ISASelection(machine: .shared, programCap: cap, environmentCap: environmentCap())
    }
  }()

  /// Caps the choice at the instruction set `name`, before anything has been computed.
  ///
  /// - Throws: `notFound` for an unknown name, `invalidState` once the choice is made.
  package static func cap(at name: String) throws(MartletError) {
    let known = Machine.shared.names
    guard known.contains(name) else {
      throw MartletError(
        .notFound,
        "unknown instruction set '\(name)'; known: \(known.joined(separator: ", "))",
        expected: known.joined(separator: ", "), actual: name)
    }
    let isTooLate = state.withLock { state in
      if !state.isChosen { state.cap = name }
      return state.isChosen
    }
    guard !isTooLate else {
      throw MartletError(
        .invalidState,
        "the instruction set is chosen already (\(current.name)); cap it before first use")
    }
  }

  /// The kernels that a cap at `name` gives on this machine, or nil where it cannot run them.
  ///
  /// With `assumesBF16` its rows for bf16 tensors serve BF16 mode too, as if it had units for them:
  /// slow, but the whole of that path can so be tested on any machine.
  static func kernels(cappedAt name: String, assumesBF16: Bool = false) -> KernelSet? {
    let machine = Machine.shared
    guard let limit = machine.names.firstIndex(of: name), machine.refusals[limit] == nil else {
      return nil
    }
    if !assumesBF16 {
      return ISASelection(machine: machine, programCap: name, environmentCap: nil).kernels
    }
    let chain = machine.compiledIn[...limit].indices.filter { machine.refusals[$0] == nil }
    return KernelSet(
      chain: chain.map { machine.compiledIn[$0] }, name: "\(name) with bf16 assumed",
      noBF16Reason: "")
  }

  private struct State {
    var cap: String?
    var isChosen = false
  }

  private static let state = Lock(State())

  private static func environmentCap() -> String? {
    guard let name = getenv("MARTLET_ISA").map({ String(cString: $0) }), !name.isEmpty else {
      return nil
    }
    let known = Machine.shared.names
    if known.contains(name) { return name }
    mp_warn(
      "MARTLET_ISA=\(name) is ignored: expected one of \(known.joined(separator: ", "))")
    return nil
  }

  private init(machine: Machine, programCap: String?, environmentCap: String?) {
    func rank(_ cap: String?) -> Int {
      cap.flatMap { name in machine.names.firstIndex(of: name) } ?? machine.names.count - 1
    }
    let limit = min(rank(programCap), rank(environmentCap))
    let capText =
      rank(environmentCap) <= rank(programCap)
      ? "MARTLET_ISA=\(environmentCap ?? "")" : "the program's cap at \(programCap ?? "")"

    var chain: [UnsafePointer<mk_isa>] = []
    var refused: [Refusal] = []
    for (index, isa) in machine.compiledIn.enumerated() {
      let name = Machine.name(isa)
      if let reason = machine.refusals[index] {
        refused.append(Refusal(name: name, reason: reason))
      } else if index > limit {
        refused.append(Refusal(name: name, reason: "\(capText) caps the choice"))
      } else {
        chain.append(isa)
      }
    }
    func hasBF16(_ isa: UnsafePointer<mk_isa>) -> Bool { isa.pointee.peak_bf16 != nil }
    if chain.contains(where: hasBF16) {
      noBF16Reason = ""
    } else if machine.usable.contains(where: hasBF16) {
      noBF16Reason = "\(capText) caps the choice below the bf16 units"
    } else {
      noBF16Reason = "this processor has no bf16 units"
    }
    name = chain.last.map(Machine.name) ?? "generic"
    found = machine.usable.map(Machine.name)
    self.refused = refused
    processor = machine.processor
    features = machine.featureNames
    cacheBytes = machine.cacheBytes
    kernels = KernelSet(chain: chain, name: name, noBF16Reason: noBF16Reason)
  }
}

/// What the processor has and what was compiled in, asked once: a CPUID may trap.
///
/// @unchecked Sendable: the pointers are to the constant tables of MartletKernels.
struct Machine: @unchecked Sendable {
  let compiledIn: [UnsafePointer<mk_isa>]
  /// Why each cannot run here; nil where it can.
  let refusals: [String?]
  let processor: String
  let featureNames: [String]
  let cacheBytes: [Int]

  /// Self-checks are of the library's own arithmetic, whoever comes first.
  static let shared = FloatingPointEnvironment.own { Machine() }

  var names: [String] { compiledIn.map(Machine.name) }
  var usable: [UnsafePointer<mk_isa>] {
    zip(compiledIn, refusals).compactMap { $1 == nil ? $0 : nil }
  }

  static func name(_ isa: UnsafePointer<mk_isa>) -> String { String(cString: isa.pointee.name) }

  private static func featureNames(_ bits: UInt32) -> [String] {
    (0..<Int32(bits.bitWidth)).filter { bits & 1 << $0 != 0 }
      .compactMap { mk_cpu_feature_name($0).map { String(cString: $0) } }
  }

  private init() {
    var count: Int32 = 0
    let list = mk_isa_list(&count)
    let present = mk_cpu_features()
    var compiledIn: [UnsafePointer<mk_isa>] = []
    var refusals: [String?] = []
    for index in 0..<Int(count) {
      guard let isa = list?[index] else { continue }
      let missing = isa.pointee.needs & ~present
      compiledIn.append(isa)
      if missing != 0 {
        let names = Machine.featureNames(missing).joined(separator: ", ")
        refusals.append("the processor or system lacks \(names)")
      } else if !mk_isa_passes(isa) {
        refusals.append("its self-check failed")
      } else {
        refusals.append(nil)
      }
    }
    self.compiledIn = compiledIn
    self.refusals = refusals
    var text = [CChar](repeating: 0, count: 128)
    mk_cpu_name(&text, text.count)
    processor = String(
      decoding: text.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
    featureNames = Machine.featureNames(present)
    cacheBytes = (1...3).map { Int(mk_cpu_cache_bytes(Int32($0))) }
  }
}
