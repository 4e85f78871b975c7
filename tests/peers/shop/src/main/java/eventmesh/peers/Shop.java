package eventmesh.peers;

import java.math.BigDecimal;
import java.util.Date;
import java.util.List;
import java.util.Map;

/** What events call, over Dubbo and over SOFARPC. */
public interface Shop {
    /** Answers with a price; throws SoldOut for "sold out", another exception for "fail"; "loop" answers what holds itself. */
    Quote quote(Order order) throws SoldOut;

    /** Tells what it was given, type by type. */
    String describe(
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
            BigDecimal price);

    /** Answers nothing. */
    void forget(String item);
}
