import MartletKernels
import Testing

@Suite("Processor detection")
struct CPUFeaturesTests {
  @Test("The list of instruction sets starts with one that needs nothing")
  func list() {
    var count: Int32 = 0
    let list = mk_isa_list(&count)
    #expect(count >= 1)
    #expect(list?[0]?.pointee.needs == 0)
  }

  @Test("A name is cut to its buffer and ends with a NUL")
  func name() {
    var buffer = [CChar](repeating: 1, count: 8)
    mk_cpu_name(&buffer, buffer.count)
    #expect(buffer.contains(0) && buffer[0] != 0)
    buffer = [1]
    mk_cpu_name(&buffer, 1)
    #expect(buffer == [0])
    mk_cpu_name(nil, 0)
  }

  @Test("Caches grow with their level, where the processor names them")
  func caches() {
    let sizes = (1...3).map { mk_cpu_cache_bytes(Int32($0)) }
    #expect(sizes.allSatisfy { $0 >= 0 })
    if sizes[0] > 0 && sizes[1] > 0 { #expect(sizes[1] >= sizes[0]) }
    #expect(mk_cpu_cache_bytes(9) == 0)
    for level in 1...3 {
      let ways = Int(mk_cpu_cache_ways(Int32(level)))
      #expect(ways >= 0 && (ways == 0 || Int(sizes[level - 1]) % ways == 0))
    }
    #expect(mk_cpu_cache_ways(9) == 0)
  }

  @Test("What rests on AVX-512 is never claimed without it")
  func implications() {
    let bits = mk_cpu_features()
    let resting = UInt32(MK_CPU_AVX512_VNNI | MK_CPU_AVX512_BF16 | MK_CPU_AVX512_FP16)
    #expect(bits & UInt32(MK_CPU_AVX512) != 0 || bits & resting == 0)
  }
}
