import Glibc
import Testing

@testable import MartletBackends

@Suite struct PhiloxTests {
  @Test("gives the published answers") func answers() {
    let zeros = Philox(key: 0, run: 0).block(0)
    #expect(zeros.0 == 0xE169_C58D_6627_E8D5 && zeros.1 == 0x9B00_DBD8_BC57_AC4C)
    let ones = Philox(key: .max, run: .max).block(.max)
    #expect(ones.0 == 0x41C8_3B0E_408F_276D && ones.1 == 0x6D54_51FD_A20B_C7C6)
  }

  @Test("fractions lie in [0, 1) and have the digits asked for") func fractions() {
    let stream = Philox(key: 5, run: 1)
    for index in 0..<1000 {
      for digits in [8, 11, 24, 53] {
        let u = stream.fraction(index, digits: digits)
        #expect(u >= 0 && u < 1 && (u * exp2(Double(digits))).rounded() == u * exp2(Double(digits)))
      }
    }
  }
}

@Suite struct ExactFunctionsTests {
  @Test("exp and log are near the C library's") func elementary() {
    for step in 1...20_000 {
      let x = Double(step) * 0.0347
      #expect(abs(ExactFunctions.exp(-x) - exp(-x)) <= exp(-x) * 1e-15)
      for value in [x, exp(-x)] {
        #expect(abs(ExactFunctions.log(value) - log(value)) <= max(abs(log(value)), 1e-2) * 1e-15)
      }
    }
  }

  @Test("the normal quantile is the inverse of the distribution, and odd") func quantile() {
    for step in 1..<2000 {
      let p = Double(step) / 4000
      for p in [p, p * p * p * p, p * 1e-15] {
        let x = ExactFunctions.normalQuantile(p)
        #expect(abs(0.5 * erfc(-x / 2.0.squareRoot()) / p - 1) < 1e-13 * max(1, x * x))
      }
      #expect(
        abs(ExactFunctions.normalQuantile(p) + ExactFunctions.normalQuantile(1 - p)) < 1e-12)
    }
    #expect(ExactFunctions.normalQuantile(0.5) == 0)
  }
}
