package eventmesh.peers;

import java.math.BigDecimal;
import java.nio.charset.StandardCharsets;
import java.util.Arrays;
import java.util.Date;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;

/** The Shop behind both protocols. */
public final class Counter implements Shop {
    @Override
    public Quote quote(Order order) throws SoldOut {
        if (order.item.equals("sold out")) {
            throw new SoldOut("none left");
        }
        if (order.item.equals("fail")) {
            throw new IllegalStateException("asked to fail");
        }
        Quote quote = new Quote();
        quote.item = order.item;
        quote.customer = order.customer == null ? null : order.customer.name + " " + order.customer.tags;
        quote.total = new BigDecimal("9.90").multiply(BigDecimal.valueOf(order.count));
        quote.count = order.count + (1L << 40);
        Quote.Line line = new Quote.Line("é \uD83D\uDE00");
        quote.lines.add(line);
        quote.lines.add(line);
        quote.stock.put("left", 3);
        quote.self = order.item.equals("loop") ? quote : null;
        return quote;
    }

    @Override
    public String describe(
            String text,
            char letter,
            byte small,
            short less,
            int number,
            long big,
            float quarter,
            double half,
            boolean yes,
            Integer boxed,
            byte[] bytes,
            String[] array,
            int[] numbers,
            List<String> words,
            Map<String, Integer> counts,
            Date date,
            BigDecimal price) {
        return String.join(
                " ",
                Arrays.asList(
                        text,
                        String.valueOf(letter),
                        String.valueOf(small),
                        String.valueOf(less),
                        String.valueOf(number),
                        String.valueOf(big),
                        String.valueOf(quarter),
                        String.valueOf(half),
                        String.valueOf(yes),
                        String.valueOf(boxed),
                        new String(bytes, StandardCharsets.UTF_8),
                        String.valueOf(Arrays.asList(array)),
                        Arrays.toString(numbers),
                        String.valueOf(words),
                        String.valueOf(new TreeMap<>(counts)),
                        String.valueOf(date.getTime()),
                        String.valueOf(price)));
    }

    @Override
    public void forget(String item) {
        if (item.equals("fail")) {
            throw new IllegalStateException("asked to fail");
        }
    }
}
