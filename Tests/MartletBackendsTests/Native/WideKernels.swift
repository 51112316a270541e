import MartletKernels
import MartletKernelsWide
import Testing

@testable import MartletBackends

/// The kernels of AVX-512 BF16: the processor's own, or else the same bodies over sixteen AVX2 lanes, so
/// that their drivers are tested on every x86 machine; nil elsewhere.
let wideKernels: KernelSet? = {
  if let own = testedKernels.first(where: { $0.peakBFloat16 != nil }) { return own }
  guard ISASelection.current.found.contains("avx2"), let wide = mk_wide_isa() else { return nil }
  var count: Int32 = 0
  guard let list = mk_isa_list(&count) else { return nil }
  let below = (0..<Int(count)).compactMap { list[$0] }
    .filter { ["generic", "avx2"].contains(String(cString: $0.pointee.name)) }
  return KernelSet(chain: below + [wide], name: "wide", noBF16Reason: "")
}()
