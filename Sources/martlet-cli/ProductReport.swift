import MartletBackends

/// What `ProductBench` measured, as text and as JSON.
struct ProductReport {
  let results: [ProductBench.Result]

  var text: String {
    var table = TextTable(
      [
        "MxNxK", "rhs", "threads", "median us", "GFLOP/s", "GB/s", "limit", "share", "speed-up",
        "bar", "",
      ], numeric: 2..<10)
    for result in results {
      let product = result.product
      let limit =
        result.isReadLimited
        ? "\(((result.readRate ?? 0) / 1e9).fixed(1)) GB/s read"
        : "\((result.peak / 1e9).fixed(1)) \(product.kind == .int8 ? "GOP/s" : "GFLOP/s")"
      let bar =
        switch product.bar {
        case .speedUp(let bar): "\(bar.fixed(2))x"
        case .share(let bar): "\((bar * 100).fixed(0))%"
        case nil: ""
        }
      table.add([
        product.shape.text, product.name, "\(product.threads)", (result.seconds * 1e6).fixed(1),
        (result.rate / 1e9).fixed(1), (product.weightBytes / result.seconds / 1e9).fixed(1), limit,
        "\((result.share * 100).fixed(1))%", result.speedUp.map { "\($0.fixed(2))x" } ?? "", bar,
        result.isMet.map { $0 ? "pass" : "fall short" } ?? "",
      ])
    }
    return ([table.text] + notes).joined(separator: "\n\n")
  }

  /// Why products did not run as asked, and how many bars are reached.
  private var notes: [String] {
    var notes: [String] = []
    let reasons = results.compactMap { result in
      result.execution.flatMap {
        $0.reason.isEmpty
          ? nil : "\(result.product.name) ran as \($0.precision) (\($0.kernel)): \($0.reason)"
      }
    }
    var seen = Set<String>()
    notes += reasons.filter { seen.insert($0).inserted }
    let judged = results.compactMap(\.isMet)
    guard !judged.isEmpty else { return notes }
    if !ProductCase.hasBF16 {
      notes.append(
        "not measured: the bars of BF16 mode and of bfloat16 tensors; "
          + ISASelection.current.noBF16Reason)
    }
    notes.append("\(judged.filter { $0 }.count) of \(judged.count) bars reached")
    return notes
  }

  var document: JSON { .object([("cases", .array(results.map(ProductReport.row)))]) }

  private static func row(_ result: ProductBench.Result) -> JSON {
    let product = result.product
    let bar: JSON =
      switch product.bar {
      case .share(let bar), .speedUp(let bar): .number(bar)
      case nil: .null
      }
    return .object([
      ("m", .int(product.shape.m)), ("n", .int(product.shape.n)), ("k", .int(product.shape.k)),
      ("variant", .string(product.name)), ("is_packed", .bool(product.isPacked)),
      ("threads", .int(product.threads)), ("median_us", .number(result.seconds * 1e6)),
      ("gflops", .number(result.rate / 1e9)), ("peak_gflops", .number(result.peak / 1e9)),
      ("peak_gb_per_s_read", result.readRate.map { .number($0 / 1e9) } ?? .null),
      ("share_of_limit", .number(result.share)),
      ("speed_up", result.speedUp.map { .number($0) } ?? .null), ("bar", bar),
      ("is_met", result.isMet.map { .bool($0) } ?? .null),
      ("precision", .optional(result.execution?.precision)),
      ("kernel", .optional(result.execution?.kernel)),
      ("reason", .optional(result.execution?.reason)),
    ])
  }
}
