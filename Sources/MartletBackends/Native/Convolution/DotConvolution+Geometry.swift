import MartletCore
import MartletKernels

extension DotConvolution {
  /// How a layer's channels fall into panels of lanes, and what of an image each panel reads.
  ///
  /// A *source* is what one window holds: the channels of a group, or, where groups are small, those of
  /// as many whole groups as fill a vector of output channels.
  struct Geometry {
    /// Output channels of a panel; panels that read one source; sources of an image.
    let lanes: Int
    let panels: Int
    let sources: Int
    /// Input channels of a source, and what a pixel of a window holds.
    let sourceChannels: Int
    let windowChannels: Int
    let taps: Int
    /// Of the pixels that are read: see `step`.
    let stride: SpatialExtents
    let input: SpatialExtents
    /// Of a kernel of one tap with a stride of two only every second pixel is rounded.
    private let step: Int
    private let kernel: SpatialExtents
    private let dilation: SpatialExtents
    private let padding: SpatialExtents
    private let outChannels: Int
    private let inChannels: Int
    private let groupRows: Int
    private let groupDepth: Int
    private let isGrouped: Bool
    private let row: GEMMRow
    private let kernels: mk_conv_dot_kernels

    /// Output pixels up to which a kernel of one tap gains: with more, packing lines of pixels is as
    /// good (28x28 was up to 15% slower this way, `scripts/bench convolutions`, AVX-512 BF16).
    private static let fewPixels = 256
    /// Channels below which lanes, or the rounding of a window, are not filled well enough.
    private static let leastInChannels = 16
    private static let leastOutChannels = 32
    /// No window exceeds this, in elements: kernels know offsets of bytes in 32 bits.
    private static let mostElements = Double(1 << 29)

    /// Nil where the convolution is not of this kind. A function of the layer's shape without its batch.
    init?(_ problem: ConvolutionProblem, _ set: KernelSet) {
      guard let row = set.bfloat16,
        let kernels = row.dotConvolution, set.float32?.convolution != nil,
        !problem.isDepthwise, problem.input.d == 1, problem.kernel.d == 1, problem.output.d == 1,
        problem.padding.d == 0, problem.input.count > 1
      else { return nil }
      let groupIn = problem.inChannels / problem.groups
      let groupOut = problem.groupRows
      let lanes = Int(kernels.grouped_lanes)
      guard groupIn > 0, groupIn % 2 == 0 else { return nil }
      guard problem.kernel.count > 1 || problem.output.count <= Geometry.fewPixels
      else { return nil }
      if groupIn >= Geometry.leastInChannels, groupOut >= Geometry.leastOutChannels {
        isGrouped = false
        self.lanes = Int(kernels.lanes)
        panels = (groupOut + self.lanes - 1) / self.lanes
        sources = problem.groups
        sourceChannels = groupIn
        windowChannels = groupIn
      } else if problem.groups > 1, [2, 4, 8, 16].contains(groupIn), groupOut > 0,
        lanes % groupOut == 0 || groupOut % lanes == 0,
        groupIn * max(1, lanes / groupOut) <= Int(kernels.grouped_channels)
      {
        isGrouped = true
        self.lanes = lanes
        panels = max(1, groupOut / lanes)
        sources = (problem.outChannels + panels * lanes - 1) / (panels * lanes)
        sourceChannels = groupIn * max(1, lanes / groupOut)
        windowChannels = Int(kernels.grouped_channels)
      } else {
        return nil
      }
      let isSparse =
        problem.kernel.count == 1 && problem.stride.h == 2 && problem.stride.w == 2
        && problem.padding.h == 0 && problem.padding.w == 0
      step = isSparse ? 2 : 1
      stride = isSparse ? SpatialExtents(d: 1, h: 1, w: 1) : problem.stride
      input =
        isSparse
        ? SpatialExtents(d: 1, h: (problem.input.h + 1) / 2, w: (problem.input.w + 1) / 2)
        : problem.input
      taps = problem.kernel.count
      kernel = problem.kernel
      dilation = problem.dilation
      padding = problem.padding
      outChannels = problem.outChannels
      inChannels = problem.inChannels
      groupRows = groupOut
      groupDepth = problem.groupDepth
      self.row = row
      self.kernels = kernels
      // In floating point, for extents come from anywhere.
      let height =
        Double(problem.output.h) * Double(stride.h) + Double(kernel.h) * Double(dilation.h)
      let width =
        Double(problem.output.w) * Double(stride.w) + Double(kernel.w) * Double(dilation.w)
      guard height * width * Double(windowChannels) <= Geometry.mostElements,
        Double(groupDepth) * Double(self.lanes) <= Geometry.mostElements
      else { return nil }
    }

    var pixelBytes: Int { windowChannels * 2 }

    /// What reports call it.
    var name: String { isGrouped ? "grouped_\(row.name)" : "direct_\(row.name)" }

    /// Multiply-adds in a nanosecond, in units of those that `GEMMPlan.serialWork` is counted in.
    var pace: Double { GEMMPlan.pace(row) }

    /// Rows and columns at most of the window that so many output rows and columns read.
    func windowExtents(rows: Int, columns: Int) -> (rows: Int, columns: Int) {
      (
        min(input.h, (rows - 1) * stride.h + (kernel.h - 1) * dilation.h + 1),
        min(input.w, (columns - 1) * stride.w + (kernel.w - 1) * dilation.w + 1)
      )
    }

    /// The part of the image that a window holds.
    func pixels(_ window: Window) -> (rows: Range<Int>, columns: Range<Int>) {
      func part(
        _ output: Range<Int>, _ stride: Int, _ kernel: Int, _ dilation: Int, _ padding: Int,
        _ input: Int
      ) -> Range<Int> {
        let first = output.lowerBound * stride - padding
        let end = (output.upperBound - 1) * stride - padding + (kernel - 1) * dilation + 1
        return (min(first, end)..<end).clamped(to: 0..<input)
      }
      return (
        part(window.rows, stride.h, kernel.h, dilation.h, padding.h, input.h),
        part(window.columns, stride.w, kernel.w, dilation.w, padding.w, input.w)
      )
    }

    func windowBytes(rows: Int, columns: Int) -> Int {
      let extents = windowExtents(rows: rows, columns: columns)
      return extents.rows * extents.columns * pixelBytes
    }

    /// The output channels of a panel of a source.
    func outChannels(source: Int, panel: Int) -> Range<Int> {
      let perSource = isGrouped ? panels * lanes : groupRows
      let first = source * perSource + panel * lanes
      return first..<min(first + lanes, min((source + 1) * perSource, outChannels))
    }

    func multiply(_ job: inout mk_conv_dot) {
      guard isGrouped else { return kernels.sums(&job) }
      job.group_lanes = Int64(min(groupRows, lanes))
      job.group_pairs = Int64(groupDepth / taps / 2)
      kernels.grouped(&job)
    }

    /// Rounds some lines of a window at `target`.
    func round(
      _ problem: ConvolutionProblem, _ window: Window, target: UnsafeMutableRawPointer,
      lineBytes: Int, lines: Range<Int>
    ) {
      let pixels = pixels(window)
      let lines = lines.clamped(to: 0..<pixels.rows.count)
      guard !lines.isEmpty, !pixels.columns.isEmpty else { return }
      let firstChannel = window.source * sourceChannels
      var job = mk_conv_window()
      job.src =
        problem.src + (window.image * inChannels + firstChannel) * problem.input.count
      job.channels = Int64(min(sourceChannels, inChannels - firstChannel))
      (job.in_h, job.in_w) = (Int64(problem.input.h), Int64(problem.input.w))
      job.step = Int64(step)
      job.y0 = Int64((pixels.rows.lowerBound + lines.lowerBound) * step)
      job.x0 = Int64(pixels.columns.lowerBound * step)
      job.height = Int64(lines.count)
      job.width = Int64(pixels.columns.count)
      job.dst_channels = Int64(windowChannels)
      job.dst = (target + lines.lowerBound * lineBytes).assumingMemoryBound(to: UInt16.self)
      job.dst_stride = Int64(lineBytes / 2)
      kernels.window(&job)
    }

    /// Packs rounded weights: for each panel and pair of terms a line of lanes.
    func pack(
      _ rounded: RoundedWeights, _ set: KernelSet, pool: ThreadPool
    ) throws(MartletError) -> DirectWeights {
      let lines = groupDepth / 2
      let storage = try Storage(
        byteCount: try Shape.byteCount([sources, panels, lines, lanes], .float32))
      let panelBytes = lines * lanes * 4
      pool.parallelFor(sources * panels) { index in
        let (source, panel) = index.quotientAndRemainder(dividingBy: panels)
        let channels = outChannels(source: source, panel: panel)
        let target = storage.base + index * panelBytes
        if channels.count < lanes {
          target.initializeMemory(as: UInt8.self, repeating: 0, count: panelBytes)
        }
        set.vectors.table.transpose32(
          Int64(channels.count), Int64(lines),
          rounded.storage.base + channels.lowerBound * groupDepth * 2, Int64(groupDepth * 2),
          target, Int64(lanes * 4))
      }
      return DirectWeights(
        storage: storage, dtype: .bfloat16, panelBytes: panelBytes, panels: sources * panels)
    }
  }
}
